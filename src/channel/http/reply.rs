//! The verdict: any 2xx ("HTTP 1.1 Web Hooks for Event Delivery", section 2.2; Standard Webhooks, "Status codes").

use crate::channel::{Outcome, Reply};

/// How much of the body is looked at for words.
const MOST_READ: usize = 8 * 1024;

pub(super) fn verdict(reply: &Reply) -> Outcome {
    let code = reply.status.to_string();
    let words = words(&reply.body);
    let message = match (advice(reply.status), words.as_str()) {
        (None, "") => format!("HTTP {code}"),
        (None, words) => format!("HTTP {code}: {words}"),
        (Some(advice), "") => format!("HTTP {code}: {advice}"),
        (Some(advice), words) => format!("HTTP {code}: {advice}; it said: {words}"),
    };
    let retry_after = reply.retry_after;
    match reply.status {
        200..=299 => Outcome::Delivered { code },
        410 => Outcome::Gone { code, message },
        429 => Outcome::Throttled { code, message, retry_after },
        502..=504 if retry_after.is_some() => Outcome::Throttled { code, message, retry_after },
        408 | 425 | 500.. => Outcome::Transient { code, message },
        _ => Outcome::Permanent { code, message },
    }
}

/// What to do about a status that comes from the target's spec rather than from the endpoint's state.
const fn advice(status: u16) -> Option<&'static str> {
    match status {
        300..=399 => Some("redirects are not followed; put the final URL into spec.http.webhook"),
        401 | 403 => Some("the endpoint refuses the credentials; see spec.http.authorization and spec.http.headers"),
        404 => Some("there is nothing at this URL; see spec.http.webhook"),
        405 => Some("the endpoint does not take this method; see spec.http.method"),
        410 => Some("the endpoint is retired; nothing more is sent until the target is edited"),
        413 => Some("the endpoint takes no message of this size"),
        415 => Some("the endpoint does not take this format; choose another spec.http.body"),
        _ => None,
    }
}

/// What the endpoint says, as text on one line; of an HTML page, what stands outside of tags. It is neither cut nor
/// cleaned here: a secret that was cut in two would not be found.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..MOST_READ).unwrap_or(body));
    let text = text.trim();
    let text = if text.starts_with('<') { without_tags(text) } else { text.to_owned() };
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        rest = skip(tag);
    }
    text + rest
}

/// What comes after a tag; of a style or a script, after its end.
fn skip(tag: &str) -> &str {
    for name in ["style", "script"] {
        if tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            let end = tag.to_ascii_lowercase().find(&format!("</{name}"));
            let closing = end.and_then(|end| tag.get(end..)).unwrap_or_default();
            return closing.split_once('>').map_or("", |(_, rest)| rest);
        }
    }
    tag.split_once('>').map_or("", |(_, rest)| rest)
}

/// Characters that change how text is shown without being seen: zero width, and the direction of writing (Unicode Standard
/// Annex 9).
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_one_line_without_markup_and_without_what_cannot_be_seen() {
        for (body, expected) in [
            ("", ""),
            (" \n ", ""),
            ("{\"error\": \"no such\r\n team\"}", "{\"error\": \"no such team\"}"),
            ("a < b > c", "a < b > c"),
            (
                "<!DOCTYPE html><html><head><title>502 Bad Gateway</title><STYLE>a > b {}</STYLE></head>\n<body><h1>Sorry</h1>",
                "502 Bad Gateway Sorry",
            ),
            ("<script>never ends", ""),
            ("<p", ""),
            ("to\u{200b}ken \u{202e}evil\u{feff}", "token evil"),
        ] {
            assert_eq!(words(body.as_bytes()), expected, "{body:?}");
        }
        assert_eq!(words(b"\xff\xfeno"), "\u{fffd}\u{fffd}no");
    }
}
