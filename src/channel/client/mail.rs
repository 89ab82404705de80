//! Mail by SMTP.

use secrecy::SecretString;

use super::address::AddressPolicy;
use super::{CallError, Reply};
use crate::api::workspace::SmtpSecurity;

/// A mail server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// User name and password.
    pub credentials: Option<(SecretString, SecretString)>,
}

impl std::fmt::Display for Server {
    /// As a URL: `smtps://smtp.example.com:465`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.security {
            SmtpSecurity::Tls => "smtps",
            SmtpSecurity::StartTls => "smtp+starttls",
            SmtpSecurity::None => "smtp",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// A mail, and the server that takes it.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The server.
    pub server: Server,
    /// The mail.
    pub message: lettre::Message,
}

/// Hands a mail to its server; the reply is the server's to the end of the data.
pub(super) async fn send(_mail: Mail, _policy: &AddressPolicy) -> Result<Reply, CallError> {
    Err(CallError { code: "NotBuilt", message: "not built yet".to_owned(), maybe_sent: false })
}
