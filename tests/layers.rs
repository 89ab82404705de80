//! The folders of `src` are layers: each may import only itself and those above it in [`LAYERS`].
//!
//! The sources are read as text, so that a breach shows even where it compiles. A new folder has to be put into the
//! list first, which is the moment to think about what it may know.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// From what knows nothing to what knows everything. `lifecycle` stands before `api`, because a Notice holds an Event.
const LAYERS: [&str; 16] = [
    "lifecycle",
    "api",
    "detect",
    "rules",
    "message",
    "channel",
    "cluster",
    "watch",
    "outbox",
    "delivery",
    "controller",
    "bus",
    "registry",
    "console",
    "ops",
    "cli",
];

#[test]
fn every_layer_imports_only_itself_and_those_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut breaches = Vec::new();
    let mut read = 0;
    for file in rust_files(&src) {
        let path = file.strip_prefix(&src).unwrap();
        let Some(layer) = layer_of(path) else { continue };
        assert!(
            LAYERS.contains(&layer.as_str()),
            "src/{layer} is no known layer: put it into LAYERS of tests/layers.rs"
        );
        read += 1;
        for (line, import) in imports(&fs::read_to_string(&file).unwrap(), depth_of(path)) {
            if below(&layer, &import) {
                breaches.push(format!("src/{}:{line} imports `{import}`, which is below `{layer}`", path.display()));
            }
        }
    }
    assert!(read > 10, "only {read} files were found under {}", src.display());
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn every_module_of_the_crate_is_a_layer() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for module in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        assert!(LAYERS.contains(&module), "`{module}` of src/lib.rs is not in LAYERS of tests/layers.rs");
    }
}

#[test]
fn a_breach_is_found_in_whatever_form_it_is_written() {
    for (source, depth) in [
        ("use crate::delivery::Lane;", 1),
        ("use crate::{api::Notice, delivery::{Lane, Queue}};", 1),
        ("use crate::{\n    api::{Notice, Workspace},\n    delivery,\n};", 2),
        ("fn f() { crate :: delivery :: start() }", 1),
        ("pub(crate) use super::delivery::Lane;", 1),
        ("use super::super::delivery::Lane;", 2),
        ("#[cfg(test)] mod tests { use super::super::super::delivery::Lane; }", 2),
        ("macro_rules! m { () => { $crate::delivery::start() } }", 1),
        ("use pai_notification::delivery::Lane;", 1),
        (r##"const A: &str = r#"""#; const B: char = '"'; const C: &str = "\""; use crate::delivery::Lane;"##, 1),
    ] {
        let found = imports(source, depth);
        assert!(found.iter().any(|(_, import)| below("rules", import)), "no breach found in: {source}");
    }
}

#[test]
fn what_is_allowed_or_only_talked_about_is_no_breach() {
    for source in [
        "use crate::lifecycle::Event; use crate::{api::Notice, rules::Policy}; use super::policy::Policy;",
        "//! See [`crate::delivery`].\n/* crate::delivery, /* nested */ crate::ops */ fn f<'a>(x: &'a str) {}",
        r#"const TEXT: &str = "crate::delivery \" crate::ops";"#,
        "use crate::api::delivery; fn g() { self::delivery::start() }",
    ] {
        let found = imports(source, 2);
        assert!(!found.iter().any(|(_, import)| below("rules", import)), "breach {found:?} found in: {source}");
    }
}

fn below(layer: &str, import: &str) -> bool {
    let rank = |name: &str| LAYERS.iter().position(|known| *known == name);
    rank(import) > rank(layer)
}

/// `rules/policy.rs` and `rules.rs` belong to `rules`; `main.rs`, `lib.rs` and `bin/` belong to none.
fn layer_of(path: &Path) -> Option<String> {
    let first = Path::new(path.iter().next()?);
    let name = first.file_stem()?.to_str()?;
    (!["main", "lib", "bin"].contains(&name)).then(|| name.to_owned())
}

/// How many `super`s lead from a file's module to the crate.
fn depth_of(path: &Path) -> usize {
    path.iter().count() - usize::from(path.file_stem().is_some_and(|stem| stem == "mod"))
}

/// The modules of the crate that a source text names, each with its line.
fn imports(source: &str, depth: usize) -> Vec<(usize, String)> {
    let tokens = tokens(source);
    let word = |at: usize| tokens.get(at).map(|token| token.text.as_str());
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = word(at) {
        let mut next = at + 1;
        let from_crate = match first {
            "crate" | "pai_notification" => true,
            "super" => {
                let mut supers = 1;
                while word(next) == Some("::") && word(next + 1) == Some("super") {
                    supers += 1;
                    next += 2;
                }
                // Modules within a file only add to the depth, so a chain this long can reach the crate.
                supers >= depth
            }
            _ => false,
        };
        if from_crate && word(next) == Some("::") {
            found.extend(first_names(&tokens[next + 1..]));
        }
        at = next;
    }
    found
}

/// The first name after `crate::`, or of each branch where a group follows.
fn first_names(tokens: &[Token]) -> Vec<(usize, String)> {
    let Some(first) = tokens.first() else { return Vec::new() };
    if first.text != "{" {
        return vec![(first.line, first.text.clone())];
    }
    let mut names = Vec::new();
    let mut nesting = 0_u32;
    let mut branch_starts = false;
    for token in tokens {
        match token.text.as_str() {
            "{" => {
                nesting += 1;
                branch_starts = nesting == 1;
            }
            "}" if nesting == 1 => break,
            "}" => nesting -= 1,
            "," => branch_starts = nesting == 1,
            name if branch_starts => {
                names.push((token.line, name.to_owned()));
                branch_starts = false;
            }
            _ => {}
        }
    }
    names
}

struct Token {
    line: usize,
    text: String,
}

/// Words, `::` and single characters; without comments, strings and character literals.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let starts = |at: usize, text: &str| text.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let mut tokens = Vec::new();
    let (mut at, mut line, mut counted) = (0, 1, 0);
    while at < chars.len() {
        line += chars[counted..at].iter().filter(|c| **c == '\n').count();
        counted = at;
        let c = chars[at];
        if starts(at, "//") {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if starts(at, "/*") {
            at = end_of_comment(&chars, at);
        } else if c == '"' {
            at = end_of_string(&chars, at + 1);
        } else if let Some(end) = end_of_raw_string(&chars, at) {
            at = end;
        } else if c == '\'' {
            // A lifetime has no closing quote; a literal has one within two characters or starts with a backslash.
            at = if chars.get(at + 1) == Some(&'\\') {
                at + 3 + chars[at + 3..].iter().take_while(|c| **c != '\'').count() + 1
            } else if chars.get(at + 2) == Some(&'\'') {
                at + 3
            } else {
                at + 1
            };
        } else if c.is_alphanumeric() || c == '_' {
            let text: String = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            at += text.chars().count();
            tokens.push(Token { line, text });
        } else if starts(at, "::") {
            tokens.push(Token { line, text: "::".to_owned() });
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(Token { line, text: c.to_string() });
            }
            at += 1;
        }
    }
    tokens
}

fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut at, mut nesting) = (start + 2, 1);
    while nesting > 0 && at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (nesting, at) = (nesting + 1, at + 2),
            ('*', Some('/')) => (nesting, at) = (nesting - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"..."`, `br#"..."#` and so on; `None` where no raw string starts.
fn end_of_raw_string(chars: &[char], start: usize) -> Option<usize> {
    if start > 0 && (chars[start - 1].is_alphanumeric() || chars[start - 1] == '_') {
        return None;
    }
    let mut at = start + usize::from(matches!(chars[start], 'b' | 'c'));
    if chars.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let length = chars[at + 1..].windows(closing.len()).position(|window| window == closing)?;
    Some(at + 1 + length + closing.len())
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|ext| ext == "rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}
