//! What can be said of a filter before it is parsed: its length, and how deeply the parser would recurse on it.
//!
//! A chain such as `1 + 1 + 1 ...` is as deep as it is long, and the parser has a limit only for brackets: with two
//! thousand operators it overflows a thread's stack, which ends the whole program. The limits here leave room for a
//! stack of half the size that tokio gives its threads, in a debug build. Operators and brackets are counted without
//! looking where texts begin and end: whoever knew how to confuse that could hide some.

use super::CompileError;

/// Line and column, counted from 1.
pub(super) type Place = (usize, usize);

/// Longest filter, in characters; the same as in the CRD.
const LONGEST: usize = 4096;
/// Most operators in one filter, those inside of its texts included.
const MOST_OPERATORS: usize = 400;
/// Deepest nesting of brackets; `a ? b : c` nests too. The parser's own limit is 96.
const DEEPEST: usize = 32;

pub(super) fn check(source: &str) -> Result<(), CompileError> {
    let error = |(line, column), message: String| Err(CompileError { line, column, message });
    if source.chars().nth(LONGEST).is_some() {
        return error((1, 1), format!("a filter may have at most {LONGEST} characters; split it over several sources"));
    }
    if source.trim().is_empty() {
        return error((1, 1), "the filter is empty; leave it out to match every event".to_owned());
    }
    if let Some(offset) = too_deep(source) {
        let message = format!("brackets may be nested {DEEPEST} deep; split the filter over several sources or rules");
        return error(place(source, offset), message);
    }
    match operators(source).nth(MOST_OPERATORS) {
        Some(offset) => error(
            place(source, offset),
            format!(
                "a filter may have at most {MOST_OPERATORS} operators; use `in [...]`, or split it over several sources"
            ),
        ),
        None => Ok(()),
    }
}

fn too_deep(source: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut characters = source.char_indices();
    let deepest = characters.find(|(_, c)| {
        match c {
            '(' | '[' | '{' | '?' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    });
    deepest.map(|(offset, _)| offset)
}

/// The offset of each run of operator characters and of each `in`. `&&` and `||` do not count: the parser
/// does not recurse on them.
fn operators(source: &str) -> impl Iterator<Item = usize> {
    let is_operator = |c: char| "!-+*/%?:=<>.[".contains(c);
    let mut before = [' '; 3];
    let mut characters = source.char_indices().chain([(source.len(), ' ')]);
    std::iter::from_fn(move || {
        for (offset, c) in characters.by_ref() {
            let [_, _, last] = before;
            let starts = is_operator(c) && !is_operator(last);
            let ends_in = matches!(before, [front, 'i', 'n'] if !is_word(front)) && !is_word(c);
            before.rotate_left(1);
            before[2] = c;
            if starts || ends_in {
                return Some(offset);
            }
        }
        None
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Line and column of an offset in bytes.
pub(super) fn place(source: &str, offset: usize) -> Place {
    let before = source.char_indices().take_while(|(at, _)| *at < offset);
    before.fold((1, 1), |(line, column), (_, c)| if c == '\n' { (line + 1, 1) } else { (line, column + 1) })
}
