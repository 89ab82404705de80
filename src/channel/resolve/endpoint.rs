//! Endpoints resolved: URL, headers, credentials, keys, certificates.

use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::{SecretLookup, Surroundings, TargetError, secret, webhook};
use crate::api::event_target::{self, SecretKeyReference};
use crate::channel::client::{Tls, TlsParts};
use crate::channel::http::{Http, SigningKey};

pub(super) fn http(spec: &event_target::Http, around: &Surroundings<'_>) -> Result<Http, TargetError> {
    let secrets = around.secrets;
    let webhook = webhook("spec.http.webhook", &spec.webhook, secrets);
    let mut signing_keys = Ok(Vec::new());
    if let Some(signing) = &spec.signing {
        let field = "spec.http.signing.standardWebhooks";
        let reference = &signing.standard_webhooks.secret_key_ref;
        let text = secret(field, reference, secrets)?;
        signing_keys = SigningKey::parse_all(text.expose_secret()).map_err(|error| TargetError::Invalid {
            field: field.to_owned(),
            message: format!("key {} of Secret {} {error}", reference.key, reference.name),
        });
    }
    let mut headers = Headers { secrets, body: spec.body, pairs: Vec::new(), values: Vec::new() };
    for (index, header) in spec.headers.iter().enumerate() {
        headers.add(index, header)?;
    }
    if let Some(authorization) = &spec.authorization {
        headers.authorize(authorization)?;
    }
    let Headers { secrets: _, body: _, pairs: headers, values } = headers;
    let origin = spec.handshake.as_ref().map(origin).transpose()?;
    let webhook = webhook?;
    let tls = spec.tls.as_ref().map(|spec| tls(spec, webhook.scheme(), secrets)).transpose()?;
    Ok(Http {
        webhook,
        webhook_is_secret: spec.webhook.secret_key_ref.is_some(),
        method: spec.method,
        headers,
        signing_keys: signing_keys?,
        body: spec.body,
        header_secrets: values,
        tls: tls.flatten(),
        origin,
    })
}

fn origin(handshake: &event_target::Handshake) -> Result<HeaderValue, TargetError> {
    HeaderValue::from_str(&handshake.origin).map_err(|_| TargetError::Invalid {
        field: "spec.http.handshake.origin".to_owned(),
        message: "is no DNS name, such as notifier.example.com".to_owned(),
    })
}

/// `None` if the spec asks for nothing but the machine's way.
fn tls(spec: &event_target::Tls, scheme: &str, secrets: &dyn SecretLookup) -> Result<Option<Tls>, TargetError> {
    let event_target::Tls { ca_ref, client_certificate_ref, insecure_skip_verify } = spec;
    if ca_ref.is_none() && client_certificate_ref.is_none() && !insecure_skip_verify {
        return Ok(None);
    }
    if scheme != "https" {
        let message = "a URL that starts with http:// has no TLS; use https://, or leave this out".to_owned();
        return Err(TargetError::Invalid { field: "spec.http.tls".to_owned(), message });
    }
    let (ca_field, identity_field) = ("spec.http.tls.caRef", "spec.http.tls.clientCertificateRef");
    let mut parts = TlsParts { accept_any: *insecure_skip_verify, ..TlsParts::default() };
    if let Some(ca) = ca_ref {
        let reference = SecretKeyReference { name: ca.name.clone(), key: ca.key.clone() };
        parts.cas = Some(secret(ca_field, &reference, secrets)?);
    }
    if let Some(pair) = client_certificate_ref {
        let read = |key: &str| {
            let reference = SecretKeyReference { name: pair.name.clone(), key: key.to_owned() };
            secret(identity_field, &reference, secrets)
        };
        parts.identity = Some((read("tls.crt")?, read("tls.key")?));
    }
    Tls::new(&parts).map(Some).map_err(|problem| {
        let (field, message) = match (ca_ref, client_certificate_ref) {
            (_, Some(pair)) if problem.is_of_identity() => {
                (identity_field, format!("{problem} (Secret {}); put in a pair that fits", pair.name))
            }
            (Some(ca), _) => (
                ca_field,
                format!("key {} of Secret {}: {problem}; put in the CA's certificate in PEM form", ca.key, ca.name),
            ),
            (None, _) => ("spec.http.tls", problem.to_string()),
        };
        TargetError::Invalid { field: field.to_owned(), message }
    })
}

/// Headers that a target cannot set: they say whose message it is and how long, or belong to one connection (RFC 9110,
/// section 7.6.1).
const OURS: [&str; 15] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-request-origin",
    "webhook-signature",
    "webhook-timestamp",
];
/// Start of the headers that hold a `CloudEvent`'s attributes, in the binary mode.
const ATTRIBUTE: &str = "ce-";

/// Collects an endpoint's headers.
struct Headers<'a> {
    secrets: &'a dyn SecretLookup,
    body: event_target::Body,
    pairs: Vec<(HeaderName, HeaderValue)>,
    values: Vec<SecretString>,
}

impl Headers<'_> {
    fn add(&mut self, index: usize, header: &event_target::Header) -> Result<(), TargetError> {
        let field = format!("spec.http.headers[{index}]");
        let invalid = |message: &str| TargetError::Invalid { field: field.clone(), message: message.to_owned() };
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| invalid("is no header name"))?;
        let is_attribute = self.body == event_target::Body::CloudEventBinary && name.as_str().starts_with(ATTRIBUTE);
        if is_attribute || OURS.contains(&name.as_str()) {
            return Err(invalid("this header is the operator's own; leave it out"));
        }
        let (text, is_secret) = match (&header.value, &header.secret_key_ref) {
            (Some(value), None) => (SecretString::from(value.as_str()), false),
            (None, Some(reference)) => (secret(&field, reference, self.secrets)?, true),
            _ => return Err(invalid("exactly one of value and secretKeyRef is needed")),
        };
        let mut value = HeaderValue::from_str(text.expose_secret())
            .map_err(|_| invalid("the value has characters that a header cannot have"))?;
        value.set_sensitive(is_secret);
        self.pairs.push((name, value));
        if is_secret {
            self.values.push(text);
        }
        Ok(())
    }

    fn authorize(&mut self, authorization: &event_target::Authorization) -> Result<(), TargetError> {
        let field = "spec.http.authorization";
        let invalid = |message: &str| TargetError::Invalid { field: field.to_owned(), message: message.to_owned() };
        let text = match (&authorization.bearer, &authorization.basic) {
            (Some(bearer), None) => {
                let token = secret(field, &bearer.secret_key_ref, self.secrets)?;
                let text = format!("Bearer {}", token.expose_secret());
                self.values.push(token);
                text
            }
            (None, Some(basic)) => {
                let read = |key: &str| {
                    let reference = SecretKeyReference { name: basic.name.clone(), key: key.to_owned() };
                    secret(field, &reference, self.secrets)
                };
                let (username, password) = (read("username")?, read("password")?);
                let pair = format!("{}:{}", username.expose_secret(), password.expose_secret());
                let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
                self.values.push(password);
                self.values.push(SecretString::from(encoded.as_str()));
                format!("Basic {encoded}")
            }
            _ => return Err(invalid("exactly one of bearer and basic is needed")),
        };
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| invalid("the Secret has characters that a header cannot have"))?;
        value.set_sensitive(true);
        self.pairs.push((header::AUTHORIZATION, value));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
