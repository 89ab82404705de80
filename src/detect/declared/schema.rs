//! The form of a catalog file, before anything in it is compiled.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::lifecycle::Transition;

/// A CEL expression, with the line that it begins in.
pub(super) type Text = Spanned<String>;

/// One kind. `docs/kinds.md` says what each field means.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct File {
    /// API group.
    pub(super) group: String,
    /// Versions that the expressions fit, the preferred one first.
    pub(super) versions: Vec<String>,
    pub(super) kind: String,
    pub(super) plural: String,
    #[serde(default)]
    pub(super) scope: Scope,
    /// Where the kind is documented.
    pub(super) docs: String,
    /// `group/Kind` of the file whose body is to be used; then there is none here.
    pub(super) like: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) source: Option<Spanned<Source>>,
    /// What has to be read beside the kind itself and Pods.
    #[serde(default)]
    pub(super) access: Vec<Access>,
    /// One line on what the kind cannot show.
    pub(super) note: Option<String>,
    /// Expressions by name, to be used in the others.
    #[serde(default, rename = "let")]
    pub(super) lets: BTreeMap<String, Text>,
    /// The generation that the status is about.
    pub(super) observed_generation: Option<Text>,
    /// When the work began.
    pub(super) start: Option<Text>,
    /// Whether the object has come to its end for good.
    pub(super) finished: Option<Text>,
    /// What the deletion of an object that has not finished is.
    pub(super) deleted: Option<Spanned<Transition>>,
    /// What its Pods add.
    #[serde(default)]
    pub(super) pods: Vec<Spanned<Transition>>,
    /// What to tell, in the words of the source.
    #[serde(default)]
    pub(super) transitions: Vec<Rule>,
    /// The same for each of many things inside.
    pub(super) for_each: Option<ForEach>,
}

/// The source that a kind belongs to by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Source {
    FlowTask,
    #[serde(rename = "DLCJob")]
    DlcJob,
    Model,
    #[serde(rename = "DSWInstance")]
    DswInstance,
    /// Its objects are no subjects, and only add to their owners.
    #[serde(rename = "none")]
    Detail,
}

/// Whether objects of a kind are in namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Scope {
    /// They are.
    #[default]
    Namespaced,
    /// They are not.
    Cluster,
}

/// A resource to be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// API group; empty for the core.
    pub group: String,
    /// Plural name.
    pub resource: String,
}

/// One transition.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) transition: Spanned<Transition>,
    /// Told once the object has finished, and not before; the others are told until then.
    #[serde(default, rename = "final")]
    pub(super) is_final: bool,
    /// Whether it is also told of the owner, if the object has one that is the subject.
    #[serde(default)]
    pub(super) lend: Lend,
    pub(super) when: Text,
    pub(super) occurrence: Option<Text>,
    pub(super) time: Option<Text>,
    pub(super) reason: Option<Text>,
    pub(super) message: Option<Text>,
    /// The message if `message` is absent or gives nothing: a text, not an expression.
    pub(super) say: Option<String>,
    /// Whether a deadline was the cause.
    pub(super) deadline: Option<Text>,
    #[serde(default)]
    pub(super) data: BTreeMap<String, Text>,
}

/// What a transition is to the owner of the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Lend {
    /// Nothing.
    #[default]
    No,
    /// Something that the owner goes through, as long as it has not ended.
    Detail,
    /// The end of one of the owner's tasks, which is told even after the owner's own end.
    Task,
}

/// What is inside of an object, each with a life of its own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ForEach {
    /// A path to a map or list.
    #[serde(rename = "in")]
    pub(super) path: Text,
    /// What the item is called.
    pub(super) name: Text,
    /// Which of the items count; all if absent.
    pub(super) when: Option<Text>,
    pub(super) transitions: Vec<Rule>,
}
