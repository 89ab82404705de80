//! An HTTP or HTTPS endpoint.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretKeyReference, SecretReference, SecretSource, Webhook};

/// An HTTP or HTTPS endpoint. Any status from 200 to 299 is delivered; redirects are not followed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// Where to send.
    pub webhook: Webhook,
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// Further headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub headers: Vec<Header>,
    /// Credentials for the `Authorization` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Signature over the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// How the connection is secured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Ask the endpoint for its consent first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Handshake>,
    /// What is sent.
    #[serde(default)]
    pub body: Body,
}

/// HTTP method.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
}

/// What an `http` target receives.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Body {
    /// `CloudEvents` 1.0, structured mode.
    #[default]
    CloudEvent,
    /// `CloudEvents` 1.0, binary mode: attributes in `ce-` headers, the data as the body.
    CloudEventBinary,
    /// The `body` of the template as it is; the content type is `application/json` where it parses as JSON, else plain text.
    Template,
}

/// One header: its value, or the Secret that holds it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.secretKeyRef)").message("exactly one of value and secretKeyRef is needed"))]
pub struct Header {
    /// Header name.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Header value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// The Secret that holds the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyReference>,
}

/// Credentials: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.bearer) != has(self.basic)").message("exactly one of bearer and basic is needed"))]
pub struct Authorization {
    /// A bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretSource>,
    /// A Secret with the keys `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<SecretReference>,
}

/// How the body is signed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Signing {
    /// By Standard Webhooks: headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. The Secret holds one key
    /// (`whsec_...`) a line; with several, a receiver may check any of them.
    pub standard_webhooks: SecretSource,
}

/// TLS of an endpoint.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// The CA certificates that the endpoint's certificate must come from, instead of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<CaReference>,
    /// A Secret of type `kubernetes.io/tls` (keys `tls.crt` and `tls.key`): the certificate to show to the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretReference>,
    /// Accept any certificate. Whoever is in between can then read and change messages: for trials only.
    pub insecure_skip_verify: bool,
}

/// A Secret in the object's own namespace that holds CA certificates in PEM form.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CaReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within it.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

/// The validation handshake of "HTTP 1.1 Web Hooks for Event Delivery": before the first message, the endpoint is asked
/// by `OPTIONS` whether it wants any.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// Who asks, as a DNS name: sent as `WebHook-Request-Origin`, which the endpoint answers with
    /// `WebHook-Allowed-Origin`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"))]
    pub origin: String,
}
