//! Conditions: types, reasons, and how one is made.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// `Ready`: the object does its job.
pub const READY: &str = "Ready";
/// `Activated`: the workspace's bus is there.
pub const ACTIVATED: &str = "Activated";
/// `AccessGranted`: the operator may read the namespace's Secrets and write its Notices.
pub const ACCESS_GRANTED: &str = "AccessGranted";
/// `Reachable`: the last connectivity test or delivery reached the receiver.
pub const REACHABLE: &str = "Reachable";
/// `QuotaExceeded`: at least one of a rule's targets is over the workspace's quota.
pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
/// `WebhookReady`: calls of the model registry can be checked.
pub const WEBHOOK_READY: &str = "WebhookReady";
/// `RegistriesHealthy`: the model registries that are asked answer; there only if there are any.
pub const REGISTRIES_HEALTHY: &str = "RegistriesHealthy";
/// `ConsoleUrlValid`: the workspace's `consoleUrl` compiles; there only if it has one.
pub const CONSOLE_URL_VALID: &str = "ConsoleUrlValid";

/// `SourcesHealthy`: every installed kind is watched, and every file of the catalog is used.
pub const SOURCES_HEALTHY: &str = "SourcesHealthy";

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// Why a condition has the status that it has. The names are stable: scripts may match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// The reason as it stands in a condition and in metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

reasons! {
    /// All is well.
    Ready,
    /// `spec.activate` is false.
    NotActivated,
    /// Activated.
    Activated,
    /// Another, older workspace has the namespace.
    NamespaceTaken,
    /// The namespace does not exist.
    NamespaceNotFound,
    /// The binding is not there, or the API server does not confirm the rights.
    AccessNotGranted,
    /// The binding is there and the API server confirms the rights.
    AccessGranted,
    /// No Workspace has this namespace.
    NoWorkspace,
    /// The namespace's Workspace is not activated.
    WorkspaceNotActivated,
    /// `spec.suspend` is true.
    Suspended,
    /// A filter, a name pattern or an event does not compile.
    InvalidSource,
    /// A template does not compile, or names a variable that does not exist.
    InvalidTemplate,
    /// It compiles.
    Valid,
    /// None of the rule's targets can be delivered to.
    NoActiveTarget,
    /// Targets over the quota are not delivered to.
    TargetsOverQuota,
    /// All targets are within the quota.
    WithinQuota,
    /// The Secret does not exist.
    SecretNotFound,
    /// The Secret has no such key, or its value is empty.
    SecretKeyMissing,
    /// The Secret cannot be read, because access is not granted.
    SecretForbidden,
    /// The webhook is no http or https URL.
    InvalidUrl,
    /// Another field's value cannot be used.
    InvalidSpec,
    /// The object cannot be read at all.
    Undecodable,
    /// A method of a contact needs a gateway that the Workspace's `spec.messageSettings` does not have.
    MessageSettingsMissing,
    /// Every installed kind is watched.
    Watched,
    /// Installed kinds are being listed.
    Listing,
    /// The operator may not list and watch an installed kind.
    SourceForbidden,
    /// The watch of an installed kind fails.
    SourceFailing,
    /// A file of the catalog cannot be used.
    InvalidCatalog,
    /// The receiver said that it is gone for good.
    Gone,
    /// A model registry does not answer.
    RegistryUnreachable,
    /// A model registry wants other credentials.
    RegistryRefused,
    /// A model registry answers with something else than was asked for.
    RegistryFailed,
    /// A model registry has more versions than are looked at.
    TooManyVersions,
    /// The last attempt was accepted.
    Succeeded,
    /// The last attempt failed.
    Failed,
    /// Nothing was sent yet.
    NotTried,
}

/// A condition before it has a time: what a reconcile computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Condition type.
    pub kind: &'static str,
    /// `None` is `Unknown`.
    pub status: Option<bool>,
    /// Reason.
    pub reason: Reason,
    /// One sentence: what is wrong, where, and what to do.
    pub message: String,
}

impl Verdict {
    /// A condition that is True.
    pub fn yes(kind: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status: Some(true), reason, message: message.into() }
    }

    /// A condition that is False.
    pub fn no(kind: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status: Some(false), reason, message: message.into() }
    }

    /// A condition that is Unknown.
    pub fn unknown(kind: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status: None, reason, message: message.into() }
    }

    /// Whether the status is True.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.status == Some(true)
    }

    const fn status_str(&self) -> &'static str {
        match self.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }
}

/// The conditions to write: `lastTransitionTime` moves only where the status differs from `before`.
#[must_use]
pub fn conditions(
    before: &[Condition],
    verdicts: &[Verdict],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    verdicts
        .iter()
        .map(|verdict| {
            let old = before.iter().find(|c| c.type_ == verdict.kind && c.status == verdict.status_str());
            Condition {
                type_: verdict.kind.to_owned(),
                status: verdict.status_str().to_owned(),
                reason: verdict.reason.as_str().to_owned(),
                message: verdict.message.clone(),
                observed_generation: generation,
                last_transition_time: old.map_or_else(|| Time(whole_second(now)), |c| c.last_transition_time.clone()),
            }
        })
        .collect()
}

/// The condition of a type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Kubernetes writes times of conditions in whole seconds.
#[must_use]
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The schema of `status.conditions`: a list that is a map by type.
pub fn conditions_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let item = generator.subschema_for::<Condition>();
    schemars::json_schema!({
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let first = Timestamp::from_second(1_000).unwrap();
        let later = Timestamp::from_second(2_000).unwrap();
        let before = conditions(&[], &[Verdict::no(READY, Reason::Suspended, "a")], Some(1), first);
        let same = conditions(&before, &[Verdict::no(READY, Reason::InvalidUrl, "b")], Some(2), later);
        assert_eq!(same[0].last_transition_time, Time(first));
        assert_eq!(same[0].reason, "InvalidUrl");
        let flipped = conditions(&before, &[Verdict::yes(READY, Reason::Ready, "")], Some(2), later);
        assert_eq!(flipped[0].last_transition_time, Time(later));
    }
}
