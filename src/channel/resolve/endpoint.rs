//! Endpoints resolved: URL, headers, credentials, keys.

use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::{SecretLookup, Surroundings, TargetError, secret, webhook};
use crate::api::event_target::{self, SecretKeyReference};
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
    let mut headers = Headers { secrets, pairs: Vec::new(), values: Vec::new() };
    for (index, header) in spec.headers.iter().enumerate() {
        headers.add(index, header)?;
    }
    if let Some(authorization) = &spec.authorization {
        headers.authorize(authorization)?;
    }
    let Headers { secrets: _, pairs: headers, values } = headers;
    Ok(Http {
        webhook: webhook?,
        method: spec.method,
        headers,
        signing_keys: signing_keys?,
        body: spec.body,
        header_secrets: values,
    })
}

/// Headers that a target cannot set: they say whose message it is, and how long.
const OURS: [&str; 7] = [
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Collects an endpoint's headers.
struct Headers<'a> {
    secrets: &'a dyn SecretLookup,
    pairs: Vec<(HeaderName, HeaderValue)>,
    values: Vec<SecretString>,
}

impl Headers<'_> {
    fn add(&mut self, index: usize, header: &event_target::Header) -> Result<(), TargetError> {
        let field = format!("spec.http.headers[{index}]");
        let invalid = |message: &str| TargetError::Invalid { field: field.clone(), message: message.to_owned() };
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| invalid("is no header name"))?;
        if OURS.contains(&name.as_str()) {
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
