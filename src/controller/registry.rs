//! The model registries that are asked: each with its Secrets resolved, and how it is. Pure.

use std::collections::HashMap;
use std::time::Duration;

use kube::core::Duration as SpecDuration;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::secret::SecretsOf;
use crate::api::condition::{REGISTRIES_HEALTHY, Reason, Verdict};
use crate::api::workspace::{ApprovedTag, CredentialsReference, ModelRegistry, RegistryPoll};
use crate::channel::resolve::{SecretError, SecretLookup as _};

/// Shortest time between two polls; the CRD says the same.
const SHORTEST: Duration = Duration::from_secs(10);
/// Longest; nobody waits for a day.
const LONGEST: Duration = Duration::from_hours(24);

/// A kind of model registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Registry {
    /// MLflow.
    Mlflow,
    /// Kubeflow Model Registry.
    Kubeflow,
}

impl Registry {
    /// As in the Workspace's spec, in metrics, and as `source` of what it tells.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mlflow => "mlflow",
            Self::Kubeflow => "kubeflow",
        }
    }
}

/// What a registry is asked with.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// `Authorization: Bearer`.
    Token(SecretString),
    /// `Authorization: Basic`.
    Basic(SecretString, SecretString),
}

/// A registry that is asked.
#[derive(Clone, Debug)]
pub struct Polled {
    /// Which one.
    pub registry: Registry,
    /// Its address, without the path of the API, and what it is asked with; or why it cannot be asked.
    pub access: Result<(Url, Option<Credentials>), PollFault>,
    /// How often.
    pub interval: Duration,
    /// The tag or property that approves.
    pub approved: ApprovedTag,
    /// Aliases that approve.
    pub aliases: Vec<String>,
}

/// Why a registry is not asked, or did not answer well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PollFault {
    /// For the condition, and as label of the metric.
    pub reason: Reason,
    /// What is wrong, and what to do.
    pub message: String,
}

impl PollFault {
    /// A fault.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// How the last poll went.
pub type Health = Result<(), PollFault>;

/// How the last poll of each registry went, by workspace; without those that were not asked yet.
pub type RegistryHealth = HashMap<(String, Registry), Health>;

/// The registries of a workspace that are to be asked.
pub(super) fn polled(spec: &ModelRegistry, secrets: Option<&SecretsOf>) -> Vec<Polled> {
    let of = |registry, poll: &RegistryPoll, approved: &ApprovedTag, aliases: &[String]| Polled {
        registry,
        access: access(registry, poll, secrets),
        interval: interval(poll.interval),
        approved: approved.clone(),
        aliases: aliases.to_vec(),
    };
    let mlflow = spec.mlflow.as_ref().and_then(|mlflow| {
        let poll = mlflow.poll.as_ref()?;
        Some(of(Registry::Mlflow, poll, &mlflow.approved_tag, &mlflow.approved_aliases))
    });
    let kubeflow = spec.kubeflow.as_ref();
    let kubeflow = kubeflow.map(|it| of(Registry::Kubeflow, &it.poll, &it.approved_property, &[]));
    mlflow.into_iter().chain(kubeflow).collect()
}

fn interval(interval: SpecDuration) -> Duration {
    let positive = if interval.is_negative() { SHORTEST } else { Duration::from(interval) };
    positive.clamp(SHORTEST, LONGEST)
}

fn access(
    registry: Registry,
    poll: &RegistryPoll,
    secrets: Option<&SecretsOf>,
) -> Result<(Url, Option<Credentials>), PollFault> {
    let field = format!("spec.modelRegistry.{}.poll", registry.as_str());
    let wrong = |message: &str| PollFault::new(Reason::InvalidUrl, format!("{field}.url {message}"));
    let url = Url::parse(&poll.url).map_err(|_| wrong("is no URL; write it like http://mlflow.mlops.svc:5000"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("must start with http:// or https:// and have a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a user name or password; put them into a Secret, for credentialsRef"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must end with the path under which the registry is served"));
    }
    let reference = poll.credentials_ref.as_ref();
    let credentials = reference.map(|reference| credentials(&field, reference, secrets)).transpose()?;
    Ok((url, credentials))
}

fn credentials(
    field: &str,
    reference: &CredentialsReference,
    secrets: Option<&SecretsOf>,
) -> Result<Credentials, PollFault> {
    let name = &reference.name;
    // A line break is what `echo` leaves at the end.
    let get = |key: &str| {
        let value = secrets.ok_or(SecretError::Forbidden)?.get(name, key)?;
        let trimmed = value.expose_secret().trim_end_matches(['\r', '\n']);
        if trimmed.is_empty() { Err(SecretError::KeyMissing) } else { Ok(SecretString::from(trimmed)) }
    };
    let found = match get("token") {
        Ok(token) => Ok(Credentials::Token(token)),
        Err(SecretError::KeyMissing) => get("username").and_then(|user| Ok(Credentials::Basic(user, get("password")?))),
        Err(error) => Err(error),
    };
    found.map_err(|error| match error {
        SecretError::NotFound => PollFault::new(
            Reason::SecretNotFound,
            format!("there is no Secret {name}; create it, or mend {field}.credentialsRef"),
        ),
        SecretError::KeyMissing => PollFault::new(
            Reason::SecretKeyMissing,
            format!(
                "Secret {name} needs the key token, or username and password; add them, or mend {field}.credentialsRef"
            ),
        ),
        SecretError::Forbidden => PollFault::new(
            Reason::SecretForbidden,
            format!("Secret {name} cannot be read, because access is not granted; set spec.grantAccess"),
        ),
    })
}

/// How the registries of a workspace are; `None` if none is asked.
pub(super) fn judge(workspace: &str, polled: &[Polled], health: &RegistryHealth) -> Option<Verdict> {
    let of = |polled: &Polled| match &polled.access {
        Err(fault) => Some(Err(fault.clone())),
        Ok(_) => health.get(&(workspace.to_owned(), polled.registry)).cloned(),
    };
    let all: Vec<(Registry, Option<Health>)> = polled.iter().map(|polled| (polled.registry, of(polled))).collect();
    let faults = || all.iter().filter_map(|(registry, health)| Some((*registry, health.as_ref()?.as_ref().err()?)));
    let verdict = match (faults().next(), all.iter().find(|(_, health)| health.is_none())) {
        _ if all.is_empty() => return None,
        (Some((_, first)), _) => {
            let texts = faults().map(|(registry, fault)| format!("{}: {}", registry.as_str(), fault.message));
            Verdict::no(REGISTRIES_HEALTHY, first.reason, texts.collect::<Vec<_>>().join("; "))
        }
        (None, Some((registry, _))) => {
            let message = format!("{} was not asked yet", registry.as_str());
            Verdict::unknown(REGISTRIES_HEALTHY, Reason::NotTried, message)
        }
        (None, None) => Verdict::yes(REGISTRIES_HEALTHY, Reason::Ready, "every model registry answers"),
    };
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::{Value, json};

    use super::*;

    fn secrets(data: &[(&str, &str)]) -> SecretsOf {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let data: HashMap<_, _> = data.iter().map(|(key, text)| (*key, encode(text))).collect();
        let secret = json!({"metadata": {"name": "login"}, "data": data});
        SecretsOf::readable(vec![serde_json::from_value(secret).unwrap()])
    }

    fn spec(poll: &Value) -> ModelRegistry {
        serde_json::from_value(json!({"mlflow": {"poll": poll}})).unwrap()
    }

    #[test]
    fn a_poll_has_what_its_secret_holds_or_says_what_is_missing() {
        let with = json!({"url": "http://mlflow:5000", "credentialsRef": {"name": "login"}});
        for (secrets, expected) in [
            (Some(secrets(&[("token", "t0ken\n")])), "token"),
            (Some(secrets(&[("token", ""), ("username", "u"), ("password", "p")])), "basic"),
            (Some(secrets(&[("username", "u")])), "SecretKeyMissing"),
            (Some(SecretsOf::readable(Vec::new())), "SecretNotFound"),
            (None, "SecretForbidden"),
        ] {
            let polled = polled(&spec(&with), secrets.as_ref()).remove(0);
            let found = match &polled.access {
                Ok((_, Some(Credentials::Token(token)))) if token.expose_secret() == "t0ken" => "token",
                Ok((_, Some(Credentials::Basic(..)))) => "basic",
                Ok(_) => "nothing",
                Err(fault) => fault.reason.as_str(),
            };
            assert_eq!(found, expected);
            assert!(!format!("{polled:?}").contains("t0ken"));
        }
    }

    #[test]
    fn a_url_that_cannot_be_asked_is_named_with_its_field() {
        for (url, advice) in [
            ("mlflow", "write it like"),
            ("ftp://mlflow", "http://"),
            ("http://user:pw@mlflow", "Secret"),
            ("http://mlflow/?a=b", "path"),
        ] {
            let fault = polled(&spec(&json!({"url": url})), None).remove(0).access.unwrap_err();
            assert_eq!(fault.reason, Reason::InvalidUrl, "{url}");
            let text = fault.to_string();
            assert!(text.contains("spec.modelRegistry.mlflow.poll.url") && text.contains(advice), "{text}");
        }
    }

    #[test]
    fn an_interval_is_within_its_limits_whatever_the_spec_says() {
        for (interval, seconds) in [("60s", 60), ("1s", 10), ("-5m", 10), ("1000h", 86_400)] {
            let polled = polled(&spec(&json!({"url": "http://m", "interval": interval})), None).remove(0);
            assert_eq!(polled.interval, Duration::from_secs(seconds), "{interval}");
        }
        assert_eq!(polled(&spec(&json!({"url": "http://m"})), None).remove(0).interval, Duration::from_mins(1));
        assert!(polled(&ModelRegistry::default(), None).is_empty());
    }

    #[test]
    fn the_condition_is_there_where_a_registry_is_asked_and_names_the_one_that_fails() {
        let both: ModelRegistry = serde_json::from_value(json!({
            "mlflow": {"poll": {"url": "http://m"}}, "kubeflow": {"poll": {"url": "http://k"}}}))
        .unwrap();
        let both = polled(&both, None);
        let down = || Err(PollFault::new(Reason::RegistryUnreachable, "nobody answers"));
        let health = |mlflow: Option<Health>, kubeflow: Option<Health>| -> RegistryHealth {
            let all = [(Registry::Mlflow, mlflow), (Registry::Kubeflow, kubeflow)];
            all.into_iter().filter_map(|(it, health)| Some((("vision".to_owned(), it), health?))).collect()
        };
        assert_eq!(judge("vision", &[], &health(None, None)), None);
        for (health, status, reason, text) in [
            (health(Some(Ok(())), Some(Ok(()))), Some(true), Reason::Ready, "every"),
            (health(Some(Ok(())), None), None, Reason::NotTried, "kubeflow was not asked"),
            (health(None, Some(down())), Some(false), Reason::RegistryUnreachable, "kubeflow: nobody answers"),
            (health(Some(down()), Some(down())), Some(false), Reason::RegistryUnreachable, "mlflow: nobody answers; "),
        ] {
            let verdict = judge("vision", &both, &health).unwrap();
            assert_eq!((verdict.status, verdict.reason), (status, reason));
            assert!(verdict.message.contains(text), "{}", verdict.message);
        }
    }
}
