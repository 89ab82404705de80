//! Text that others have chosen, made fit for a message: cut, flattened, escaped.

use secrecy::{ExposeSecret as _, SecretString};

/// Mark of a cut text.
const CUT: &str = "…";
/// Longest text of a receiver that is kept, in bytes.
const MOST_KEPT: usize = 256;

/// At most `most` bytes of UTF-8, cut between characters, with a mark.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub(CUT.len()));
    format!("{}{CUT}", text.get(..end).unwrap_or_default())
}

/// Without line breaks and control characters: what is one value stays on one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// Takes from text its power as Markdown, and from `@` its power to mention.
#[must_use]
pub fn escape_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push('＠'),
            _ => out.push(c),
        }
    }
    out
}

/// A receiver's words, fit to be shown: secrets, addresses and phone numbers taken out, one line, short.
#[must_use]
pub fn cleaned(text: &str, secrets: &[SecretString]) -> String {
    let mut text = one_line(text);
    // The longest first: one may be a part of another.
    let mut secrets: Vec<&str> = secrets.iter().map(SecretString::expose_secret).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets {
        // A short value is no secret and would tear holes into every text.
        if secret.len() < 4 {
            continue;
        }
        text = text.replace(secret, "***");
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        if encoded != secret {
            text = text.replace(&encoded, "***");
        }
    }
    cut(&without_numbers(&text), MOST_KEPT)
}

/// Takes out IPv4 addresses and what looks like a phone number (ten digits or more).
fn without_numbers(text: &str) -> String {
    text.split_inclusive(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+'))
        .map(|piece| {
            let number = piece.trim_end_matches(|c: char| !(c.is_ascii_digit()));
            let is_address = number.parse::<std::net::Ipv4Addr>().is_ok();
            let is_phone =
                number.trim_start_matches('+').len() >= 10 && number.chars().all(|c| c.is_ascii_digit() || c == '+');
            if is_address || is_phone {
                format!("***{}", piece.get(number.len()..).unwrap_or_default())
            } else {
                piece.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_whatever_the_script() {
        assert_eq!(cut("short", 10), "short");
        for text in ["训练任务失败".repeat(10), "🚀🔥".repeat(20), "aé".repeat(50)] {
            for most in 4..text.len() {
                let cut = cut(&text, most);
                assert!(cut.len() <= most && cut.ends_with('…'), "{most}");
            }
        }
    }

    #[test]
    fn nobody_can_write_markdown_or_a_mention_into_a_message() {
        assert_eq!(escape_markdown("[x](http://e)"), "\\[x\\]\\(http://e\\)");
        assert_eq!(escape_markdown("@all <b> # *x*"), "＠all &lt;b&gt; \\# \\*x\\*");
        assert_eq!(one_line("a\n\n# b\u{0}\tc"), "a  # b  c");
    }

    #[test]
    fn a_receivers_words_are_kept_without_secrets_addresses_and_numbers() {
        let secrets = [SecretString::from("tok/en+1")];
        let cleaned = cleaned("bad tok/en+1 tok%2Fen%2B1 from ip: 203.0.113.7, call +8613900000000\nhint", &secrets);
        assert_eq!(cleaned, "bad *** *** from ip: ***, call *** hint");
        assert!(super::cleaned(&"x".repeat(9000), &[]).len() <= MOST_KEPT);
        let nested = [SecretString::from("abc1"), SecretString::from("abc1def2ghi")];
        assert_eq!(super::cleaned("abc1def2ghi abc1", &nested), "*** ***");
    }
}
