//! From the command line to documents: finds the files, splits them, parses YAML and JSON.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::problem::{InputError, InputErrors};

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    /// The file as it was named.
    pub(super) file: String,
    /// Counted from 1.
    pub(super) number: usize,
    /// What it says; never null.
    pub(super) value: Value,
}

/// Reads everything that is named.
pub(super) fn documents(names: &[String]) -> Result<Vec<Document>, InputErrors> {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        match texts(name) {
            Ok(texts) => {
                for (file, text) in texts {
                    parse(&file, &text, &mut documents, &mut errors);
                }
            }
            Err(error) => errors.push(error),
        }
    }
    InputErrors::check(documents, errors)
}

/// The files behind one name, with their texts.
fn texts(name: &str) -> Result<Vec<(String, String)>, InputError> {
    let failed = |file: &str, error: &std::io::Error| InputError::File {
        file: file.to_owned(),
        message: format!("cannot be read: {error}"),
    };
    if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| failed("standard input", &error))?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    let path = Path::new(name);
    if !path.is_dir() {
        let text = std::fs::read_to_string(path).map_err(|error| failed(name, &error))?;
        return Ok(vec![(name.to_owned(), text)]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| failed(name, &error))? {
        let file = entry.map_err(|error| failed(name, &error))?.path();
        let is_ours =
            file.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|ours| extension == *ours));
        if is_ours && !file.is_dir() {
            files.push(file.display().to_string());
        }
    }
    if files.is_empty() {
        let message = "the directory holds no *.yaml, *.yml or *.json".to_owned();
        return Err(InputError::File { file: name.to_owned(), message });
    }
    files.sort();
    let read = |file: String| match std::fs::read_to_string(&file) {
        Ok(text) => Ok((file, text)),
        Err(error) => Err(failed(&file, &error)),
    };
    files.into_iter().map(read).collect()
}

/// Parses one file. Every document stands for itself, so that all that are broken are named at once.
pub(super) fn parse(file: &str, text: &str, documents: &mut Vec<Document>, errors: &mut Vec<InputError>) {
    let text = text.trim_start_matches('\u{feff}');
    let mut number = 0;
    for chunk in chunks(text) {
        match chunk.values() {
            Ok(values) => {
                for value in values {
                    number += 1;
                    if !value.is_null() {
                        documents.push(Document { file: file.to_owned(), number, value });
                    }
                }
            }
            Err(message) => {
                number += 1;
                errors.push(InputError::Document { file: file.to_owned(), document: number, message });
            }
        }
    }
}

/// What stands between two lines that begin a YAML document.
struct Chunk<'a> {
    text: &'a str,
    /// How many lines of the file stand before it.
    lines_before: usize,
}

/// Splits a text as `kubectl` does: at lines that begin with `---`.
fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let (mut chunks, mut start, mut lines_before, mut offset) = (Vec::new(), 0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_separator(line) && offset > 0 {
            chunks.push(Chunk { text: text.get(start..offset).unwrap_or_default(), lines_before });
            (start, lines_before) = (offset, number);
        }
        offset += line.len();
    }
    chunks.push(Chunk { text: text.get(start..).unwrap_or_default(), lines_before });
    // Before the first separator may stand comments and directives, which are no document.
    chunks.retain(|chunk| chunk.lines_before > 0 || !chunk.text.lines().all(is_no_content));
    chunks
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

fn is_no_content(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line.starts_with('%')
}

impl Chunk<'_> {
    /// One document of YAML, or any number of JSON.
    fn values(&self) -> Result<Vec<Value>, String> {
        if self.text.trim_start().starts_with('{') {
            // kubectl's JSON: a parser without limits of size. What is not JSON may still be YAML's flow style.
            let json: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(self.text).into_iter().collect();
            if let Ok(values) = json {
                return Ok(values);
            }
        }
        parse_yaml(self.text).map(|value| vec![value]).map_err(|error| {
            // Once more with the lines before it, so that the error counts the file's lines.
            let padded = "\n".repeat(self.lines_before) + self.text;
            let error = parse_yaml(&padded).err().unwrap_or(error);
            error.without_snippet().to_string()
        })
    }
}

fn parse_yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    // No snippets: they would print what stands in Secrets. No budget: a team's own files may be as large as they are;
    // the limits of aliases stay.
    let options = serde_saphyr::options! { with_snippet: false, budget: None };
    serde_saphyr::from_str_with_options(text, options)
}
