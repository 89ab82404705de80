//! A phone number, in one form however it is written.

/// Digits of a mobile number in mainland China, without the country code.
const MAINLAND_DIGITS: usize = 11;
/// Country code of mainland China.
const MAINLAND: &str = "86";

/// A phone number: country code and number, digits only. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Number(String);

/// A text is no phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Something else than digits.
    #[error("must be digits with an optional + in front, such as +8613900000000, without spaces or dashes")]
    NotDigits,
    /// Too few or too many digits.
    #[error("must have 5 to 15 digits, the country code included")]
    Length,
    /// A mainland Chinese mobile number of another length.
    #[error("a mobile number in mainland China has 11 digits after +86")]
    Mainland,
}

impl Number {
    /// Reads `+8613900000000`, `008613900000000`, `8613900000000` and `13900000000` as one number in mainland China, and any
    /// other one as country code and number.
    ///
    /// # Errors
    /// [`NumberError`] says what to write instead.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let (digits, international) = match (text.strip_prefix('+'), text.strip_prefix("00")) {
            (Some(digits), _) | (None, Some(digits)) => (digits, true),
            (None, None) => (text, false),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::NotDigits);
        }
        let number =
            if !international && is_mobile(digits) { format!("{MAINLAND}{digits}") } else { digits.to_owned() };
        if !(5..=15).contains(&number.len()) {
            return Err(NumberError::Length);
        }
        match number.strip_prefix(MAINLAND) {
            Some(rest) if rest.starts_with('1') && !is_mobile(rest) => Err(NumberError::Mainland),
            _ => Ok(Self(number)),
        }
    }

    /// Country code and number.
    #[must_use]
    pub fn international(&self) -> &str {
        &self.0
    }

    /// The 11 digits of a mobile number in mainland China; `None` for any other number.
    #[must_use]
    pub fn mainland(&self) -> Option<&str> {
        self.0.strip_prefix(MAINLAND).filter(|rest| is_mobile(rest))
    }

    /// A text without this number.
    pub(super) fn cut_out_of(&self, text: &str) -> String {
        let text = text.replace(self.international(), "***");
        self.mainland().map_or_else(|| text.clone(), |number| text.replace(number, "***"))
    }
}

fn is_mobile(digits: &str) -> bool {
    digits.len() == MAINLAND_DIGITS && digits.starts_with('1')
}

impl std::fmt::Debug for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Number(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_form_however_it_is_written() {
        for text in ["13900000000", "+8613900000000", "008613900000000", "8613900000000"] {
            let number = Number::parse(text).unwrap();
            assert_eq!((number.international(), number.mainland()), ("8613900000000", Some("13900000000")), "{text}");
        }
        for (text, form) in
            [("+852000012345", "852000012345"), ("85200001234", "85200001234"), ("+12345678901", "12345678901")]
        {
            let number = Number::parse(text).unwrap();
            assert_eq!((number.international(), number.mainland()), (form, None), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_advice() {
        for (text, error) in [
            ("", NumberError::NotDigits),
            ("+", NumberError::NotDigits),
            ("+86 139 0000 0000", NumberError::NotDigits),
            ("139-0000-0000", NumberError::NotDigits),
            ("++8613900000000", NumberError::NotDigits),
            ("１３９００００００００", NumberError::NotDigits),
            ("1234", NumberError::Length),
            ("+1234567890123456", NumberError::Length),
            ("+86139000000", NumberError::Mainland),
            ("+86139000000001", NumberError::Mainland),
        ] {
            assert_eq!(Number::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_number_shows_itself_in_no_text() {
        let number = Number::parse("+12345").unwrap();
        assert_eq!(format!("{number:?}"), "Number(***)");
        assert_eq!(number.cut_out_of("no route to +12345"), "no route to +***");
        let number = Number::parse("13900000000").unwrap();
        assert_eq!(number.cut_out_of("8613900000000 13900000000"), "*** ***");
    }
}
