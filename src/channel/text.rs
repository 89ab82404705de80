//! Text that others have chosen, made fit for a message: cut, flattened, escaped ([`escape`]), cleaned ([`cleaned`]).

mod clean;
pub mod escape;

pub use clean::cleaned;

/// Mark of a cut text.
const CUT: &str = "…";

/// At most `most` bytes of UTF-8, cut between characters, with a mark.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub(CUT.len()));
    format!("{}{CUT}", text.get(..end).unwrap_or_default())
}

/// One value on one line, as it is read: without line breaks and control characters, and without characters that
/// nobody sees but that change what is seen (direction overrides, zero-width characters, tags).
#[must_use]
pub fn one_line(text: &str) -> String {
    let seen = text.chars().filter(|c| !is_unseen(*c));
    let flat = seen.map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    flat.collect::<String>().trim().to_owned()
}

/// Format characters of Unicode that take no room: soft hyphen, Arabic letter mark, Mongolian vowel separator,
/// zero-width spaces and joiners, direction marks, embeddings, overrides and isolates, invisible operators, byte order
/// mark, interlinear annotations, tags.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests;
