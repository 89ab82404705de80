//! People, reached by voice call, text message or email.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One person and how to reach them. Each method is a delivery of its own, and one quota unit.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.phone) || !self.methods.exists(m, m != 'Email')").message("VoiceCall and TextMessage need a phone"),
    validation = Rule::new("has(self.email) || !('Email' in self.methods)").message("Email needs an email"),
)]
pub struct Contact {
    /// Who it is; stands in the Notice.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Phone number: `+`, country code and number (`+8613900000000`), or 11 digits in mainland China.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 5, max = 24))]
    #[x_kube(validation = Rule::new("self.matches('^[+]?[0-9]{5,15}$')").message("phone must be digits with an optional + in front, such as +8613900000000"))]
    pub phone: Option<String>,
    /// Email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 254))]
    #[x_kube(validation = Rule::new("self.matches('^[^@[:space:]]+@[^@[:space:]]+$')").message("email must be an address such as li@example.com"))]
    pub email: Option<String>,
    /// How to reach them.
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(validation = Rule::new("self.all(m, self.exists_one(n, n == m))").message("each method can stand once"))]
    pub methods: Vec<ContactMethod>,
}

/// A way to reach a person.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContactMethod {
    /// A call that reads the message.
    VoiceCall,
    /// A text message to the phone.
    TextMessage,
    /// An email.
    Email,
}

impl ContactMethod {
    /// The name as it stands in a target.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VoiceCall => "VoiceCall",
            Self::TextMessage => "TextMessage",
            Self::Email => "Email",
        }
    }
}

impl std::fmt::Display for ContactMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
