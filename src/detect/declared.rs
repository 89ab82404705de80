//! Kinds that are declared in a file instead of written in Rust: one YAML file each, with CEL expressions that say what
//! an object's state proves.
//!
//! [`Catalog::built_in`] has the files of `src/detect/catalog/`; [`Catalog::with_dir`] adds those of a user, in the
//! same form. A [`Kind`] is the compiled file: [`Kind::detect`] is a pure function of one [`Object`] and of what is
//! below it, as `job::detect` and `pod::detect` are for the two kinds that are written in Rust. An expression that fails
//! on an object proves nothing, is reported, and disturbs no other. Start at [`Kind`], then `schema.rs` for the form of
//! a file and `run.rs` for how it is used.

mod approval;
mod below;
mod body;
mod catalog;
mod docs;
mod error;
mod expression;
mod functions;
mod keep;
mod object;
mod parse;
mod question;
mod run;
mod schema;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use below::{Below, Lent, combine};
pub use catalog::Catalog;
pub use docs::page;
pub use error::{CatalogError, Problem};
pub use object::Object;
pub use run::Findings;
pub use schema::{Access, Scope};

use super::role::Role;
use super::{Detected, Presence};
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{EventType, Source, Subject, Transition};
use body::Body;
use run::Run;
use schema::Lend;

/// A declared kind, ready to look at objects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Kind {
    header: Arc<Header>,
    body: Arc<Body>,
}

/// What is known of a kind beside its expressions.
#[derive(Debug)]
struct Header {
    file: String,
    group: String,
    versions: Vec<String>,
    kind: String,
    plural: String,
    scope: Scope,
    docs: String,
    access: Vec<Access>,
}

impl Kind {
    /// API group; empty for the core.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.header.group
    }

    /// The versions that the expressions fit, the preferred one first.
    #[must_use]
    pub fn versions(&self) -> &[String] {
        &self.header.versions
    }

    /// Kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.header.kind
    }

    /// Plural name, as in URLs and RBAC.
    #[must_use]
    pub fn plural(&self) -> &str {
        &self.header.plural
    }

    /// Plural name and group, such as `pytorchjobs.kubeflow.org`: the name of its CRD.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.header.plural, self.header.group)
    }

    /// Whether its objects are in namespaces.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.header.scope
    }

    /// The source of its objects, unless their label names another; `None` for a kind that is only detail of others.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        self.body.source
    }

    /// Where the kind is documented.
    #[must_use]
    pub fn docs(&self) -> &str {
        &self.header.docs
    }

    /// What the kind cannot show, if anything.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.body.note.as_deref()
    }

    /// What has to be got, listed and watched beside the kind itself and Pods.
    #[must_use]
    pub fn access(&self) -> &[Access] {
        &self.header.access
    }

    /// The file that declares it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.header.file
    }

    /// Every transition that can be told of its objects by default, those from below included.
    #[must_use]
    pub fn transitions(&self) -> Vec<Transition> {
        let body = &self.body;
        let inner = body.for_each.iter().flat_map(|it| &it.rules);
        let approval = (body.source == Some(Source::Model)).then_some(Transition::Approved);
        let stopping = body.deleted.filter(|_| body.source == Some(Source::DSWInstance)).map(|_| Transition::Stopping);
        let rules = body.rules.iter().chain(inner).map(|rule| rule.transition);
        let mut all: Vec<_> =
            rules.chain(body.pods.iter().copied()).chain(body.deleted).chain(approval).chain(stopping).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Every event type of its source that its objects can have by default.
    #[must_use]
    pub fn events(&self) -> Vec<EventType> {
        let Some(source) = self.source() else { return Vec::new() };
        let mut all: Vec<_> = self
            .transitions()
            .into_iter()
            .flat_map(|transition| EventType::of(source, transition, self.cause_of(transition)))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether it can tell that a deadline caused the transition.
    fn cause_of(&self, transition: Transition) -> Cause {
        let tells = |rule: &body::Rule| rule.transition == transition && rule.deadline.is_some();
        if self.body.rules.iter().any(tells) { Cause::Deadline } else { Cause::Other }
    }

    /// Takes out of the object what nothing here ever looks at: most of a spec, and most annotations.
    pub fn trim(&self, object: &mut Object) {
        self.body.keep.trim(object);
    }

    /// The object as the subject of an event.
    #[must_use]
    pub fn subject(&self, object: &Object) -> Subject {
        let mut subject = object.subject();
        if subject.kind.is_empty() {
            self.header.kind.clone_into(&mut subject.kind);
        }
        if subject.api_version.is_empty() {
            subject.api_version = self.api_version();
        }
        subject
    }

    /// Group and preferred version.
    #[must_use]
    pub fn api_version(&self) -> String {
        let version = self.header.versions.first().map_or("", String::as_str);
        if self.header.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.header.group) }
    }

    /// The source that the object belongs to: what its label names, else that of its kind. `None`: it is no subject.
    #[must_use]
    pub fn source_of(&self, object: &Object) -> Option<Source> {
        let own = self.body.source?;
        Some(object.metadata.source().unwrap_or(own))
    }

    /// Whether the object has come to its end for good.
    #[must_use]
    pub fn is_finished(&self, object: &Object) -> bool {
        Run::new(&self.body, object, &Below::default()).is_finished()
    }

    /// Every transition that the state of the object, and what is known of those below it, proves; in the words of the
    /// object's source.
    #[must_use]
    pub fn detect(&self, object: &Object, below: &Below<'_>, presence: Presence) -> Findings {
        let (Some(own), Some(source)) = (self.body.source, self.source_of(object)) else { return Findings::default() };
        let Findings { found, problems } = Run::new(&self.body, object, below).detect(presence);
        let role = Role::Job(source);
        let told = |found: Detected| {
            // Tasks are those of a pipeline; as anything else, it is one thing.
            if source != own && found.data.contains_key("task") {
                return None;
            }
            let transition = if source == own { Some(found.transition) } else { role.tells(found.transition) }?;
            let is_event = !EventType::of(source, transition, Cause::Other).is_empty();
            is_event.then_some(Detected { transition, ..found })
        };
        let approval = object.approval.as_ref().filter(|_| source == Source::Model && presence == Presence::Present);
        let found = found.into_iter().filter_map(told).chain(approval.map(|approval| approval.told())).collect();
        Findings { found, problems }
    }

    /// What the object adds to the subject above it, if it is not one itself; and the expressions that failed.
    #[must_use]
    pub fn lend(&self, object: &Object, below: &Below<'_>) -> (Lent, Vec<Problem>) {
        let run = |lend| Run::new(&self.body, object, below).lend(lend);
        let (details, tasks) = (run(Lend::Detail), run(Lend::Task));
        let end = self.is_finished(object).then(|| self.detect(object, below, Presence::Present).found);
        let is_timeout = |it: &Detected| it.transition == Transition::Failed && it.cause == Cause::Deadline;
        let lent = Lent {
            kind: self.header.kind.as_str().into(),
            name: object.metadata.name.clone(),
            timed_out: end.is_some_and(|end| end.iter().any(is_timeout)),
            found: details.found,
            tasks: tasks.found,
        };
        let problems = details.problems.into_iter().chain(tasks.problems).collect();
        (lent, problems)
    }
}
