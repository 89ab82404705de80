//! What the bus has to know of each workspace: its namespace, whether it is in force, how its model registry signs, and which
//! registries are asked. Pure.

use std::collections::HashMap;

use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};

use super::registry::{self, Polled};
use super::secret::SecretsOf;
use super::workspace::WorkspaceVerdict;
use crate::api::condition::{Reason, Verdict, WEBHOOK_READY};
use crate::api::workspace::{KeyReference, Mlflow};
use crate::channel::resolve::{SecretError, SecretLookup as _};

/// Every activated workspace, by name.
pub type Ingresses = HashMap<String, Ingress>;

/// What the bus has to know of a workspace.
#[derive(Clone, Debug)]
pub struct Ingress {
    /// Its namespace.
    pub namespace: String,
    /// Whether it is in force; if not, nothing can be stored.
    pub in_force: bool,
    /// Its MLflow, if that has a webhook.
    pub mlflow: Option<Webhook>,
    /// How long its Notices are kept: for as long, what was told is recognised.
    pub retained: SignedDuration,
    /// Its model registries that are asked.
    pub polled: Vec<Polled>,
}

/// The webhook of an MLflow.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// What it is signed with; `None` if that cannot be had, and why stands on the bus.
    pub secret: Option<SecretString>,
    /// What approves a model version.
    pub spec: Mlflow,
    reference: KeyReference,
    fault: Option<SecretError>,
}

/// The ingresses of all workspaces.
pub(super) fn all(workspaces: &[WorkspaceVerdict], secrets: &HashMap<String, SecretsOf>) -> Ingresses {
    let activated = workspaces.iter().filter(|workspace| workspace.activated.is_some());
    activated
        .map(|workspace| {
            let registry = workspace.workspace.spec.model_registry.as_ref();
            let secrets = secrets.get(&workspace.namespace);
            let mlflow = registry.and_then(|registry| registry.mlflow.as_ref());
            let reference = |spec: &Mlflow| Some((spec.clone(), spec.webhook_secret_ref.clone()?));
            let ingress = Ingress {
                namespace: workspace.namespace.clone(),
                in_force: workspace.in_force_since().is_some(),
                mlflow: mlflow.and_then(reference).map(|(spec, reference)| webhook(spec, reference, secrets)),
                retained: retained(workspace.workspace.spec.retention.notices),
                polled: registry.map(|registry| registry::polled(registry, secrets)).unwrap_or_default(),
            };
            (workspace.name(), ingress)
        })
        .collect()
}

fn retained(notices: kube::core::Duration) -> SignedDuration {
    if notices.is_negative() {
        return SignedDuration::ZERO;
    }
    SignedDuration::try_from(std::time::Duration::from(notices)).unwrap_or(SignedDuration::MAX)
}

fn webhook(spec: Mlflow, reference: KeyReference, secrets: Option<&SecretsOf>) -> Webhook {
    let found = secrets.ok_or(SecretError::Forbidden).and_then(|secrets| secrets.get(&reference.name, &reference.key));
    let (secret, fault) = match found {
        // Everybody could sign with nothing.
        Ok(secret) if secret.expose_secret().trim().is_empty() => (None, Some(SecretError::KeyMissing)),
        Ok(secret) => (Some(secret), None),
        Err(fault) => (None, Some(fault)),
    };
    Webhook { secret, spec, reference, fault }
}

/// Whether calls of the model registry can be checked.
pub(super) fn judge_webhook(webhook: &Webhook) -> Verdict {
    let KeyReference { name, key } = &webhook.reference;
    let no = |reason, message| Verdict::no(WEBHOOK_READY, reason, message);
    match webhook.fault {
        None => Verdict::yes(WEBHOOK_READY, Reason::Ready, "calls of MLflow are checked"),
        Some(SecretError::NotFound) => no(
            Reason::SecretNotFound,
            format!("there is no Secret {name}; create it with the key {key}, or mend spec.modelRegistry.mlflow"),
        ),
        Some(SecretError::KeyMissing) => no(
            Reason::SecretKeyMissing,
            format!("Secret {name} has no key {key}, or nothing in it; add it, or mend spec.modelRegistry.mlflow"),
        ),
        Some(SecretError::Forbidden) => {
            no(Reason::SecretForbidden, format!("Secret {name} cannot be read, because access is not granted"))
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::{Value, json};

    use super::*;

    fn secrets(data: &Value) -> SecretsOf {
        let encode = |text: &Value| base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap());
        let data: HashMap<_, _> = data.as_object().unwrap().iter().map(|(key, text)| (key, encode(text))).collect();
        let secret = json!({"metadata": {"name": "mlflow"}, "data": data});
        SecretsOf::readable(vec![serde_json::from_value(secret).unwrap()])
    }

    #[test]
    fn a_webhook_without_a_secret_says_what_is_missing_and_no_signature_holds() {
        let spec: Mlflow = serde_json::from_value(json!({"webhookSecretRef": {"name": "mlflow", "key": "k"}})).unwrap();
        assert_eq!((spec.approved_tag.key.as_str(), spec.approved_aliases.len()), ("validation_status", 1));
        let none = SecretsOf::readable(Vec::new());
        for (secrets, reason) in [
            (Some(secrets(&json!({"k": "s3cret"}))), Reason::Ready),
            (Some(secrets(&json!({"k": ""}))), Reason::SecretKeyMissing),
            (Some(secrets(&json!({"k": " \n"}))), Reason::SecretKeyMissing),
            (Some(secrets(&json!({"other": "s3cret"}))), Reason::SecretKeyMissing),
            (Some(none), Reason::SecretNotFound),
            (None, Reason::SecretForbidden),
        ] {
            let reference = spec.webhook_secret_ref.clone().unwrap();
            let webhook = webhook(spec.clone(), reference, secrets.as_ref());
            let verdict = judge_webhook(&webhook);
            assert_eq!(verdict.reason, reason);
            assert_eq!(webhook.secret.is_some(), verdict.is_true());
            assert!(!format!("{webhook:?}").contains("s3cret"));
        }
    }
}
