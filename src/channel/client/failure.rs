//! What a failed call is called, and what to do about it. The URL is never part of the text.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::CallError;
use super::address::Refused;
use super::proxy::Route;

/// Where a call was when it failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// Its way.
    pub route: Route,
    /// Whether a connection had taken the request.
    pub written: bool,
}

/// The cause of a failure, so far.
struct Cause {
    code: &'static str,
    message: String,
    /// Whether the receiver cannot have read the request, although it was written.
    unread: bool,
}

impl Cause {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), unread: false }
    }
}

/// Finds the cause of a failure.
pub(super) fn classify(error: &reqwest::Error, stage: Stage) -> CallError {
    // Of an empty body nobody sees whether it was written; without a connection it was not.
    let stage = Stage { written: stage.written && !error.is_connect(), ..stage };
    let Stage { route, written } = stage;
    let Cause { code, message, unread } = cause(error).unwrap_or_else(|| otherwise(error, stage));
    let proxied = matches!(code, "ConnectionRefused" | "NameNotResolved" | "Timeout" | "Unreachable") && !written;
    let message = match route {
        Route::HttpProxy | Route::HttpsProxy if proxied => format!("on the way by the proxy: {message}"),
        _ => message,
    };
    CallError { code, message, maybe_sent: written && !unread }
}

fn cause(error: &reqwest::Error) -> Option<Cause> {
    let mut found: Option<Cause> = None;
    for cause in error.source().into_iter().flat_map(causes) {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Some(Cause::new("AddressRefused", refused.to_string()));
        }
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            found = Some(tls(error));
        } else if let Some(io) = cause.downcast_ref::<io::Error>().filter(|_| found.is_none()) {
            found = io_words(io.kind()).map(|(code, message)| Cause::new(code, message));
        }
    }
    found
}

/// An error and its causes. What an I/O error wraps, such as a TLS error or another I/O error, is not its source but stands
/// in its place.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &'a (dyn Error + 'static)).or_else(|| cause.source())
    })
}

/// The cause is none that is known by its type.
fn otherwise(error: &reqwest::Error, stage: Stage) -> Cause {
    if error.is_timeout() {
        let message = if stage.written { "no complete reply in time" } else { "no connection in time" };
        Cause::new("Timeout", message)
    } else if stage.written || !error.is_connect() {
        Cause::new("ConnectionReset", "the connection ended before a complete reply")
    } else if error.is_dns() {
        Cause::new("NameNotResolved", "the host's name cannot be resolved; see the URL, and the cluster's DNS")
    } else if stage.route == Route::Direct {
        Cause::new("ConnectionFailed", "no connection")
    } else {
        Cause::new("ProxyRefused", "the proxy makes no connection to the endpoint; see HTTPS_PROXY and NO_PROXY")
    }
}

/// The word for an I/O error, and what it means.
pub(super) const fn io_words(kind: io::ErrorKind) -> Option<(&'static str, &'static str)> {
    use io::ErrorKind;
    Some(match kind {
        ErrorKind::ConnectionRefused => ("ConnectionRefused", "nobody listens at the address"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => ("ConnectionReset", "the connection was reset"),
        ErrorKind::TimedOut => ("Timeout", "no connection in time"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            ("Unreachable", "there is no route to the address")
        }
        _ => return None,
    })
}

fn tls(error: &rustls::Error) -> Cause {
    let message = match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::AlertReceived(alert) if is_about_identity(*alert) => format!(
            "the endpoint refuses the client certificate, or wants one ({alert:?}); see \
             spec.http.tls.clientCertificateRef"
        ),
        rustls::Error::InvalidMessage(_) => {
            format!(
                "what answers does not speak TLS ({error}); should the URL start with http://, or have another port?"
            )
        }
        error => format!("the TLS connection failed: {error}"),
    };
    // With TLS 1.3 the endpoint judges the client when the request is already on its way, and then reads none of it.
    let unread = matches!(error, rustls::Error::AlertReceived(alert) if is_about_identity(*alert));
    Cause { code: "TlsError", message, unread }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        // A CA that was made anew under its old name gives the second.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the endpoint's certificate is from a CA that is not known here; name that CA in spec.http.tls.caRef of an \
             http target"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => format!(
            "the endpoint's certificate is for another name ({}); use that name in the URL, or renew the certificate",
            presented.join(", ")
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the endpoint's certificate is not for the name in the URL; renew it with that name".to_owned()
        }
        error => format!("the endpoint's certificate is not accepted: {error}"),
    }
}

/// Alerts of a server that does not like what the client showed, or that it showed nothing (RFC 8446, section 6.2).
const fn is_about_identity(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}
