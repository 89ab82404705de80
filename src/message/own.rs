//! A team's own text, with what it took from the event kept apart.
//!
//! The text is in the form that its channel takes, and may hold Markdown. What stands in it for an event's value was
//! chosen by others (a job's name, a container's last words), and must not mention people or make links: the channel
//! escapes it as it does in a built-in text.

/// Around a value while a template is rendered: characters of a private use area, which are cut out of values.
const START: char = '\u{f_fff0}';
/// See [`START`].
const END: char = '\u{f_fff1}';

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnText(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Own(String),
    Value(String),
}

/// A value as it stands in a rendered template.
pub(super) fn marked(value: &str) -> String {
    format!("{START}{}{END}", value.replace([START, END], ""))
}

impl OwnText {
    /// Takes a rendered template apart.
    #[must_use]
    pub(super) fn rendered(text: &str) -> Self {
        let mut pieces = Vec::new();
        for (index, part) in text.split(START).enumerate() {
            let (value, own) = if index == 0 { ("", part) } else { part.split_once(END).unwrap_or((part, "")) };
            pieces.push(Piece::Value(value.to_owned()));
            pieces.push(Piece::Own(own.replace(END, "")));
        }
        pieces.retain(|piece| !matches!(piece, Piece::Own(text) | Piece::Value(text) if text.is_empty()));
        Self(pieces)
    }

    /// The text as it is, with raw values.
    #[must_use]
    pub fn raw(&self) -> String {
        self.with(str::to_owned)
    }

    /// The text, each value escaped.
    #[must_use]
    pub fn with(&self, escape: impl Fn(&str) -> String) -> String {
        let Self(pieces) = self;
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Own(text) => text.clone(),
                Piece::Value(value) => escape(value),
            })
            .collect()
    }
}

impl From<String> for OwnText {
    /// A text that took nothing from an event.
    fn from(text: String) -> Self {
        Self(vec![Piece::Own(text)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_apart_from_the_text_around_them() {
        let text = OwnText::rendered(&format!("**{}** and {}{}!", marked("a*"), marked("b"), marked("")));
        assert_eq!(text.raw(), "**a*** and b!");
        assert_eq!(text.with(|value| format!("<{value}>")), "**<a*>** and <b>!");
        assert_eq!(OwnText::rendered("plain").raw(), "plain");
    }

    #[test]
    fn no_value_can_end_itself() {
        let hostile = format!("x{END}@all{START}");
        let text = OwnText::rendered(&format!("a {} b", marked(&hostile)));
        assert_eq!(text.with(|value| format!("<{value}>")), "a <x@all> b");
    }
}
