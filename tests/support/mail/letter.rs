//! One letter as its reader sees it.

use std::collections::BTreeMap;

use serde_json::Value;

/// A letter that came.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// Address of `From`.
    pub from: String,
    /// Name of `From`, decoded.
    pub from_name: String,
    /// Addresses of `To`.
    pub to: Vec<String>,
    /// Addresses of `Cc`.
    pub cc: Vec<String>,
    /// Addresses that the server was told to deliver to, though no header names them.
    pub bcc: Vec<String>,
    /// `Subject`, decoded.
    pub subject: String,
    /// `Message-ID`, without the brackets.
    pub message_id: String,
    /// The address in `MAIL FROM`.
    pub return_path: String,
    /// The user that logged in to send it, by `AUTH LOGIN`: Mailpit does not keep who came by another way.
    pub user: String,
    /// The part for plain text; empty if there is none.
    pub text: String,
    /// The part in HTML; empty if there is none.
    pub html: String,
    /// Every header as it came, by its name as it came.
    pub headers: BTreeMap<String, Vec<String>>,
}

impl Letter {
    pub(super) fn read(message: &Value, headers: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let addresses = |list: &Value| {
            let list = list.as_array().into_iter().flatten();
            list.map(|one| text(&one["Address"])).collect()
        };
        Self {
            from: text(&message["From"]["Address"]),
            from_name: text(&message["From"]["Name"]),
            to: addresses(&message["To"]),
            cc: addresses(&message["Cc"]),
            bcc: addresses(&message["Bcc"]),
            subject: text(&message["Subject"]),
            message_id: text(&message["MessageID"]),
            return_path: text(&message["ReturnPath"]),
            user: text(&message["Username"]),
            text: text(&message["Text"]),
            html: text(&message["HTML"]),
            headers: serde_json::from_value(headers.clone()).unwrap_or_default(),
        }
    }

    /// The first header of this name, in whatever letters, such as `References` or `In-Reply-To`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name));
        found.and_then(|(_, values)| values.first()).map(String::as_str)
    }
}
