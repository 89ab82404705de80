//! A receiver's words, fit to be kept: without secrets, addresses, numbers of people, ids and links.

use std::net::Ipv6Addr;

use secrecy::{ExposeSecret as _, SecretString};

use super::{cut, one_line};

/// Longest text of a receiver that is kept, in bytes.
const MOST_KEPT: usize = 256;
/// So much of a receiver's words is read, in bytes.
const MOST_READ: usize = 8 * 1024;
/// A shorter value is no secret and would tear holes into every text.
const SHORTEST_SECRET: usize = 4;
/// What stands where something was taken out.
const GONE: &str = "***";

/// A receiver's words, fit to be shown: one line, short, without secrets in any usual spelling (percent-encoded,
/// escaped as in JSON), without what follows the host of a URL, without the id of a hint, without values that are called
/// a signature, token or key, without IP addresses and phone numbers.
#[must_use]
pub fn cleaned(text: &str, secrets: &[SecretString]) -> String {
    // Escapes of slashes hide URLs.
    let text = one_line(text).replace("\\/", "/");
    let text = without_secrets(&text, secrets);
    let text = without_paths(&text);
    let text = without_hints(&text);
    let text = without_named_values(&text);
    let text = without_ipv6(&text);
    cut(&without_numbers(&text), MOST_KEPT)
}

fn without_secrets(text: &str, secrets: &[SecretString]) -> String {
    // The longest first: one may be a part of another.
    let mut secrets: Vec<&str> = secrets.iter().map(SecretString::expose_secret).collect();
    secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if text.len() - rest.len() >= MOST_READ {
            break;
        }
        let spelled = secrets.iter().find_map(|secret| spelled(rest.as_bytes(), secret.as_bytes()));
        // Every spelling ends with a character, so that what is left begins with one.
        if let Some(left) = spelled.and_then(|length| rest.get(length..)) {
            out.push_str(GONE);
            rest = left;
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// How many bytes of the text spell the secret, if the text begins with it: as it is, percent-encoded (once or more
/// often), or escaped as in JSON. A percent sign or backslash may stand for itself or begin an escape, so that each
/// reading is tried.
fn spelled(text: &[u8], secret: &[u8]) -> Option<usize> {
    let by = |read: fn(&[u8], u8) -> Option<usize>| {
        secret.iter().try_fold(0, |at, byte| Some(at + read(text.get(at..)?, *byte)?))
    };
    by(|text, byte| itself(text, byte).or_else(|| escaped(text, byte)))
        .or_else(|| by(|text, byte| escaped(text, byte).or_else(|| itself(text, byte))))
}

fn itself(text: &[u8], byte: u8) -> Option<usize> {
    (text.first() == Some(&byte)).then_some(1)
}

fn escaped(text: &[u8], byte: u8) -> Option<usize> {
    match text {
        [b'\\', b'u', b'0', b'0', high, low, ..] if hex(*high, *low) == Some(byte) => Some(6),
        [b'\\', escaped, ..] if *escaped == byte => Some(2),
        [b'+', ..] if byte == b' ' => Some(1),
        _ => percent_encoded(text, byte),
    }
}

/// `%2F`; encoded once more, `%252F`; and so on.
fn percent_encoded(text: &[u8], byte: u8) -> Option<usize> {
    let [b'%', rest @ ..] = text else { return None };
    // Of a percent sign, the first `25` is the value.
    let more = if byte == b'%' { 0 } else { rest.chunks_exact(2).take_while(|pair| pair == b"25").count() };
    let value = rest.chunks_exact(2).nth(more)?;
    let [high, low] = value else { return None };
    (hex(*high, *low)? == byte).then_some(1 + 2 * more + 2)
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Cuts every URL down to its scheme and host: path and query may hold tokens and signatures.
fn without_paths(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        let ends = |c: char| c.is_whitespace() || "\"'<>()[]{}，。；、）】".contains(c);
        let (url, left) = after.split_at(after.find(ends).unwrap_or(after.len()));
        let authority = url.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        out.push_str(before);
        out.push_str(authority.rsplit('@').next().unwrap_or_default());
        rest = left;
    }
    out.push_str(rest);
    out
}

/// `hint: [...]`, which names one request of one caller.
fn without_hints(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("hint:") {
        let (before, after) = rest.split_at(start + "hint:".len());
        out.push_str(before);
        rest = after;
        if let Some(id) = after.trim_start().strip_prefix('[') {
            out.push_str(" [");
            out.push_str(GONE);
            rest = id.find(']').and_then(|end| id.get(end..)).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// `sign=...`, `access_token=...`, `key=...`: what is called a secret is one.
fn without_named_values(text: &str) -> String {
    const NAMES: [&str; 6] = ["access_token", "token", "sign", "signature", "secret", "key"];
    let mut out = String::new();
    let mut rest = text;
    while let Some(equals) = rest.find('=') {
        let (before, after) = rest.split_at(equals + 1);
        out.push_str(before);
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let name = before.trim_end_matches('=').rsplit(word).next().unwrap_or_default();
        let ends = |c: char| c.is_whitespace() || "&,;\"'<>()[]{}".contains(c);
        let length = after.find(ends).unwrap_or(after.len());
        rest = after;
        if length > 0 && NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            out.push_str(GONE);
            rest = after.get(length..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// Takes out IPv6 addresses.
fn without_ipv6(text: &str) -> String {
    let of_address = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(of_address) {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let (run, left) = after.split_at(after.find(|c| !of_address(c)).unwrap_or(after.len()));
        out.push_str(&run_without_ipv6(run, out.chars().next_back(), left.chars().next()));
        rest = left;
    }
    out.push_str(rest);
    out
}

/// A run of hexadecimal digits, colons and dots. A letter beside it makes its first or last group a part of a word.
fn run_without_ipv6(run: &str, before: Option<char>, after: Option<char>) -> String {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut start = if is_word(before) { run.find(':').unwrap_or(run.len()) } else { 0 };
    let mut end = if is_word(after) { run.rfind(':').map_or(0, |at| at + 1) } else { run.len() };
    // One colon is punctuation, two are zeros.
    let core = |start: usize, end: usize| run.get(start..end).unwrap_or_default();
    if core(start, end).starts_with(':') && !core(start, end).starts_with("::") {
        start += 1;
    }
    while core(start, end).ends_with('.') || core(start, end).ends_with(':') && !core(start, end).ends_with("::") {
        end -= 1;
    }
    let core = core(start, end);
    if core.contains(|c: char| c.is_ascii_hexdigit()) && core.parse::<Ipv6Addr>().is_ok() {
        let around = |range: std::ops::Range<usize>| run.get(range).unwrap_or_default();
        format!("{}{GONE}{}", around(0..start), around(end..run.len()))
    } else {
        run.to_owned()
    }
}

/// Takes out IPv4 addresses and phone numbers.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '+' || c == '(') {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let (shown, length) = number(after);
        out.push_str(shown);
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// What to show of the number that the text begins with, and how long it is.
fn number(text: &str) -> (&str, usize) {
    let first = |end: usize| text.get(..end).unwrap_or_default();
    let dotted = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let address = first(dotted).trim_end_matches('.');
    if is_address(address) {
        return (GONE, address.len());
    }
    if let Some(date) = text.get(..10).filter(|date| date.parse::<jiff::civil::Date>().is_ok()) {
        return (date, date.len());
    }
    let spread = spread(text);
    if is_phone(first(spread)) {
        return (GONE, spread);
    }
    // What comes after it may be an address.
    let shown = first(dotted.max(1));
    (shown, shown.len())
}

/// How long a number is whose digits have single separators between them, or two if one of them is a parenthesis.
fn spread(text: &str) -> usize {
    let mut length = 1;
    let mut between = String::new();
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '0'..='9' => {
                length = at + 1;
                between.clear();
            }
            ' ' | '-' | '.' | '(' | ')' => {
                between.push(c);
                if between.len() > 2 || between.len() == 2 && !between.contains(['(', ')']) {
                    break;
                }
            }
            _ => break,
        }
    }
    length
}

/// Four groups of one to three digits, leading zeros too.
fn is_address(text: &str) -> bool {
    let groups: Vec<&str> = text.split('.').collect();
    groups.len() == 4
        && groups.iter().all(|group| matches!(group.len(), 1..=3) && group.bytes().all(|b| b.is_ascii_digit()))
}

/// Ten digits or more; of a number with its country, eight.
fn is_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits >= 10 || text.starts_with('+') && digits >= 8
}
