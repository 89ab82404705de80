//! Values of others in the markup of a channel: on one line, and without power to format, link or mention.
//!
//! Each client takes an escape of another kind. Where none is known, the character is replaced by its full-width twin,
//! which looks the same and means nothing.

use super::one_line;

/// For plain text, where only `@` has power.
#[must_use]
pub fn plain(text: &str) -> String {
    one_line(text).replace('@', "＠")
}

/// For DingTalk's Markdown, which takes backslashes. It knows no HTML, so that entities would be shown as they are.
#[must_use]
pub fn dingtalk(text: &str) -> String {
    each(text, |out, c, _| match c {
        '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' => {
            out.push('\\');
            out.push(c);
        }
        '<' | '>' | '@' => out.push(wide(c)),
        _ => out.push(c),
    })
}

/// For WeCom's Markdown and its second version, whose manual knows no escape.
#[must_use]
pub fn wecom(text: &str) -> String {
    each(text, |out, c, _| match c {
        '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '@' | '|' | '~' => out.push(wide(c)),
        _ => out.push(c),
    })
}

/// For the Markdown of Lark's cards, which takes numbered entities ("Rich text", special characters).
#[must_use]
pub fn lark(text: &str) -> String {
    each(text, |out, c, next| match c {
        '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' | '<' | '>' | '&' | '$' => {
            entity(out, c);
        }
        // `:OK:` would be an emoji, `12:00` is none.
        ':' if next.is_some_and(|next| next.is_ascii_alphabetic()) => entity(out, c),
        _ => out.push(c),
    })
}

/// A URL between the parentheses of a Markdown link.
#[must_use]
pub fn link_target(url: &str) -> String {
    url.replace('(', "%28").replace(')', "%29")
}

fn each(text: &str, escape: impl Fn(&mut String, char, Option<char>)) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        escape(&mut out, c, chars.peek().copied());
    }
    out
}

fn entity(out: &mut String, c: char) {
    out.push_str("&#");
    out.push_str(&u32::from(c).to_string());
    out.push(';');
}

/// The full-width twin of a printable ASCII character.
fn wide(c: char) -> char {
    let twin = u32::from(c) + 0xfee0;
    char::from_u32(twin).filter(|_| ('!'..='~').contains(&c)).unwrap_or(c)
}
