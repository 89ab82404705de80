//! The part of a Pod that detection reads.

use jiff::Timestamp;
use serde::Deserialize;

use crate::detect::condition::Condition;
use crate::detect::lenient::{self, Lenient, Structure};
use crate::detect::meta::Meta;

/// A Pod, read leniently: any JSON object gives one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PodView {
    /// `metadata`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub metadata: Meta,
    /// `spec`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub spec: PodSpec,
    /// `status`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub status: PodStatus,
}

impl Structure for PodView {}

impl PodView {
    /// The node that it was put on.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.spec.node_name.as_deref().filter(|node| !node.is_empty())
    }

    /// When the last of its containers ended, as far as they have.
    #[must_use]
    pub fn finished(&self) -> Option<Timestamp> {
        self.exits().filter_map(|(_, exit)| exit.finished_at).max()
    }

    /// When the first of its running containers started.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        let running = self.status.containers.iter().filter_map(|container| container.state.running.as_ref());
        running.filter_map(|running| running.started_at).min()
    }

    /// The first of its containers to have failed: the later ones mostly fail because of it.
    #[must_use]
    pub fn failed_container(&self) -> Option<(&Container, &Terminated)> {
        let failed = self.exits().filter(|(_, exit)| exit.exit_code != Some(0));
        // A container without a time comes after those with one.
        failed.min_by_key(|(_, exit)| exit.finished_at.unwrap_or(Timestamp::MAX))
    }

    fn exits(&self) -> impl Iterator<Item = (&Container, &Terminated)> {
        let containers = self.status.containers.iter();
        containers.filter_map(|container| container.state.terminated.as_ref().map(|exit| (container, exit)))
    }
}

/// What is kept of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// `nodeName`.
    #[serde(deserialize_with = "lenient::maybe")]
    pub node_name: Option<Box<str>>,
}

impl Structure for PodSpec {}

/// What is kept of `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    /// `phase`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub phase: Phase,
    /// `reason`; empty if absent.
    #[serde(deserialize_with = "lenient::or_default")]
    pub reason: Box<str>,
    /// `message`; empty if absent.
    #[serde(deserialize_with = "lenient::or_default")]
    pub message: Box<str>,
    /// `conditions`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub conditions: Vec<Condition>,
    /// `startTime`: when the kubelet took it up.
    #[serde(rename = "startTime", deserialize_with = "lenient::maybe")]
    pub start: Option<Timestamp>,
    /// `containerStatuses`.
    #[serde(rename = "containerStatuses", deserialize_with = "lenient::or_default")]
    pub containers: Vec<Container>,
}

impl Structure for PodStatus {}

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have started yet.
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, at least one of them badly.
    Failed,
    /// Absent, `Unknown`, or not understood.
    #[default]
    Other,
}

impl Lenient for Phase {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "Pending" => Some(Self::Pending),
            "Running" => Some(Self::Running),
            "Succeeded" => Some(Self::Succeeded),
            "Failed" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// One entry of `containerStatuses`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name.
    #[serde(deserialize_with = "lenient::or_default")]
    pub name: Box<str>,
    /// How often it was started again.
    #[serde(deserialize_with = "lenient::or_default")]
    pub restart_count: i64,
    /// Its state.
    #[serde(deserialize_with = "lenient::or_default")]
    pub state: ContainerState,
    /// Its state before the last restart.
    #[serde(deserialize_with = "lenient::or_default")]
    pub last_state: ContainerState,
}

impl Structure for Container {}

/// `state` or `lastState` of a container. Neither of the two: it waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// It runs.
    #[serde(deserialize_with = "lenient::maybe")]
    pub running: Option<Running>,
    /// It has ended.
    #[serde(deserialize_with = "lenient::maybe")]
    pub terminated: Option<Terminated>,
}

impl Structure for ContainerState {}

/// A running container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    /// When it was started.
    #[serde(deserialize_with = "lenient::maybe")]
    pub started_at: Option<Timestamp>,
}

impl Structure for Running {}

/// A container that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    /// Its exit code.
    #[serde(deserialize_with = "lenient::maybe")]
    pub exit_code: Option<i64>,
    /// `OOMKilled`, `Error`, `Completed`, ...; empty if absent.
    #[serde(deserialize_with = "lenient::or_default")]
    pub reason: Box<str>,
    /// What it left as its last words; empty if absent.
    #[serde(deserialize_with = "lenient::or_default")]
    pub message: Box<str>,
    /// When it ended.
    #[serde(deserialize_with = "lenient::maybe")]
    pub finished_at: Option<Timestamp>,
}

impl Structure for Terminated {}
