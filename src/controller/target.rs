//! An `EventTarget` judged: can it be delivered to. Pure.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use secrecy::{ExposeSecret as _, SecretString};

use super::edits::last_edit;
use crate::api::EventTarget;
use crate::api::condition::{READY, Reason, Verdict};
use crate::api::event_target::EventTargetSpec;
use crate::channel::resolve::{
    ResolvedTarget, SecretError, SecretLookup, Surroundings, TIMEOUT, TargetError, channel_name, legs, quota_units,
    resolve,
};
use crate::delivery::targets::{GoneTargets, Target, TargetKey, TargetState};
use crate::message::template::{self, CompiledTemplate, TemplateError};

/// Age at which an event is given up, unless the target says otherwise.
const MAX_AGE: Duration = Duration::from_hours(24);

/// What a target says whose receiver is gone.
const GONE: &str = "the receiver said that it is gone for good (HTTP 410); nothing more is sent until the target is \
                    edited: give it the new URL, or delete it";

/// An `EventTarget`, judged.
pub(super) struct TargetVerdict {
    pub(super) object: EventTarget,
    pub(super) key: TargetKey,
    pub(super) target: Target,
    pub(super) channel: Option<&'static str>,
    pub(super) ready: Verdict,
}

impl TargetVerdict {
    /// How much of a rule's quota the target takes.
    pub(super) fn units(&self) -> i32 {
        quota_units(&self.object.spec)
    }
}

/// Judges one target.
pub(super) fn judge(object: EventTarget, around: &Surroundings<'_>, gone: &GoneTargets) -> TargetVerdict {
    let key = TargetKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let asked = Asked { inner: around.secrets, hasher: RefCell::new(DefaultHasher::new()) };
    let resolved = resolve(&object.spec, &Surroundings { secrets: &asked, ..*around });
    let template = object.spec.template.as_ref().map(template::compile).transpose();
    let delivery = object.spec.delivery.clone().unwrap_or_default();
    let mut hasher = asked.hasher.into_inner();
    // The JSON form has every field of the spec, in a fixed order.
    serde_json::to_string(&object.spec).unwrap_or_default().hash(&mut hasher);
    if object.spec.contacts.is_some() {
        serde_json::to_string(&around.settings).unwrap_or_default().hash(&mut hasher);
    }
    let revision = hasher.finish();
    let (state, ready, template) = if is_gone(&object, &key, revision, gone) && !object.spec.suspend {
        (TargetState::NotReady(GONE.to_owned()), Verdict::no(READY, Reason::Gone, GONE), None)
    } else {
        state_of(&object, resolved, template)
    };
    let target = Target {
        state,
        revision,
        legs: legs(&object.spec),
        edited: last_edit(&object.metadata, &["f:spec"]),
        throttled_until: object.status.as_ref().and_then(|status| status.throttled_until),
        template,
        timeout: delivery.timeout.map_or(TIMEOUT, Duration::from),
        max_age: delivery.max_age.map_or(MAX_AGE, Duration::from),
        rate_per_minute: delivery.rate_per_minute.and_then(|rate| u32::try_from(rate).ok()),
    };
    TargetVerdict { channel: channel_name(&object.spec), object, key, target, ready }
}

fn state_of(
    object: &EventTarget,
    resolved: Result<ResolvedTarget, TargetError>,
    template: Result<Option<CompiledTemplate>, TemplateError>,
) -> (TargetState, Verdict, Option<Arc<CompiledTemplate>>) {
    match (resolved, template) {
        // Whatever else is wrong: who suspends wants deliveries skipped, not kept waiting.
        _ if object.spec.suspend => {
            let message = "deliveries are skipped; set spec.suspend to false to go on";
            (TargetState::Suspended, Verdict::no(READY, Reason::Suspended, message), None)
        }
        (Err(error), Ok(_)) => not_ready(error.reason(), error.to_string()),
        (Ok(_), Err(error)) => not_ready(error.reason(), format!("spec.{error}")),
        (Err(error), Err(template)) => not_ready(error.reason(), format!("{error}; spec.{template}")),
        (Ok(resolved), Ok(template)) => {
            let message = "messages can be delivered";
            (
                TargetState::Ready(Arc::new(resolved)),
                Verdict::yes(READY, Reason::Ready, message),
                template.map(Arc::new),
            )
        }
    }
}

fn not_ready(reason: Reason, message: String) -> (TargetState, Verdict, Option<Arc<CompiledTemplate>>) {
    (TargetState::NotReady(message.clone()), Verdict::no(READY, reason, message), None)
}

/// Whether the receiver said that it is gone, and the target was not edited since. After a restart, the recorded
/// condition says so.
fn is_gone(object: &EventTarget, key: &TargetKey, revision: u64, gone: &GoneTargets) -> bool {
    if let Some(known) = gone.get(key) {
        return *known == revision;
    }
    let recorded = object.status.iter().flat_map(|status| &status.conditions);
    recorded.into_iter().any(|condition| {
        condition.type_ == READY
            && condition.reason == Reason::Gone.as_str()
            && condition.observed_generation == object.metadata.generation
    })
}

/// A target that cannot be read. It is there all the same: deliveries to it wait.
pub(super) fn undecodable(metadata: ObjectMeta, error: &str) -> TargetVerdict {
    let message = format!("the object cannot be read: {error}; mend that field");
    let object = EventTarget { metadata, spec: EventTargetSpec::default(), status: None };
    let key = TargetKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let target = Target {
        state: TargetState::NotReady(message.clone()),
        revision: 0,
        legs: Vec::new(),
        edited: None,
        throttled_until: None,
        template: None,
        timeout: TIMEOUT,
        max_age: MAX_AGE,
        rate_per_minute: None,
    };
    TargetVerdict { channel: None, object, key, target, ready: Verdict::no(READY, Reason::Undecodable, message) }
}

/// Remembers, as a hash, what the Secrets answered: a changed answer is a changed target.
struct Asked<'a> {
    inner: &'a dyn SecretLookup,
    hasher: RefCell<DefaultHasher>,
}

impl SecretLookup for Asked<'_> {
    fn get(&self, name: &str, key: &str) -> Result<SecretString, SecretError> {
        let answer = self.inner.get(name, key);
        answer.as_ref().map(SecretString::expose_secret).ok().hash(&mut *self.hasher.borrow_mut());
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::secret::SecretsOf;

    #[expect(clippy::needless_pass_by_value, reason = "tables are easier to read with values")]
    fn target(spec: Value) -> EventTarget {
        serde_json::from_value(json!({
            "apiVersion": "notification.pai.dev/v1alpha1", "kind": "EventTarget",
            "metadata": {"name": "oncall", "namespace": "vision"}, "spec": spec,
        }))
        .unwrap()
    }

    fn ding() -> EventTarget {
        target(json!({"dingTalk": {"webhook": {"url": "https://a.example"},
            "signingKey": {"secretKeyRef": {"name": "ding", "key": "k"}}}}))
    }

    fn secrets(value: &str) -> SecretsOf {
        let data = json!({"k": ByteString(value.as_bytes().to_vec())});
        SecretsOf::readable(vec![serde_json::from_value(json!({"metadata": {"name": "ding"}, "data": data})).unwrap()])
    }

    #[test]
    fn a_target_is_ready_only_with_its_secret_and_says_what_is_missing() {
        let ready = judge(ding(), &Surroundings::without_workspace(&secrets("SECx")), &GoneTargets::new());
        assert!(ready.ready.is_true() && matches!(ready.target.state, TargetState::Ready(_)));
        let missing =
            judge(ding(), &Surroundings::without_workspace(&SecretsOf::readable(Vec::new())), &GoneTargets::new());
        assert_eq!(missing.ready.reason, Reason::SecretNotFound);
        let unreadable = judge(ding(), &Surroundings::without_workspace(&SecretsOf::default()), &GoneTargets::new());
        assert_eq!(unreadable.ready.reason, Reason::SecretForbidden);
        assert!(matches!(unreadable.target.state, TargetState::NotReady(_)));
    }

    #[test]
    fn the_revision_changes_with_the_spec_and_with_the_secret_and_with_nothing_else() {
        let revision = |target: EventTarget, secret: &str| {
            judge(target, &Surroundings::without_workspace(&secrets(secret)), &GoneTargets::new()).target.revision
        };
        let mut labelled = ding();
        labelled.metadata.labels = Some(BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        assert_eq!(revision(ding(), "SECx"), revision(labelled, "SECx"));
        assert_ne!(revision(ding(), "SECx"), revision(ding(), "SECy"));
        let mut edited = ding();
        edited.spec.delivery =
            Some(crate::api::event_target::Delivery { rate_per_minute: Some(5), ..Default::default() });
        assert_ne!(revision(ding(), "SECx"), revision(edited, "SECx"));
    }

    #[test]
    fn a_bad_template_or_a_suspension_makes_a_target_not_ready() {
        let http = |more: Value| {
            let mut spec = json!({"http": {"webhook": {"url": "https://a.example"}}});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            judge(target(spec), &Surroundings::without_workspace(&SecretsOf::default()), &GoneTargets::new())
        };
        let bad = http(json!({"template": {"body": "{{ nope }}"}}));
        assert_eq!(bad.ready.reason, Reason::InvalidTemplate);
        assert!(bad.ready.message.starts_with("spec.template.body, line 1"), "{}", bad.ready.message);
        let suspended = http(json!({"suspend": true}));
        assert_eq!(suspended.ready.reason, Reason::Suspended);
        assert!(matches!(suspended.target.state, TargetState::Suspended));
        let also_bad = http(json!({"suspend": true, "template": {"body": "{{ nope }}"}}));
        assert!(matches!(also_bad.target.state, TargetState::Suspended));
    }
}
