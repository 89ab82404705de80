//! The four event sources of the console.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of work an event is about. The names are those of the PAI console's "event source".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Source {
    /// A step of a pipeline.
    FlowTask,
    /// A training job. Every `batch/v1` Job is one unless its label says otherwise.
    DLCJob,
    /// A version of a registered model.
    Model,
    /// A notebook instance. A Pod becomes one by the label `notification.pai.dev/source: DSWInstance`.
    DSWInstance,
}

impl Source {
    /// Every source, in the order of the console.
    pub const ALL: [Self; 4] = [Self::FlowTask, Self::DLCJob, Self::Model, Self::DSWInstance];

    /// The name as it stands in `NoticeRule.spec.sources[].type` and in the label `notification.pai.dev/source`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlowTask => "FlowTask",
            Self::DLCJob => "DLCJob",
            Self::Model => "Model",
            Self::DSWInstance => "DSWInstance",
        }
    }

    /// The second part of the `CloudEvents` type: `pai.<this>.<transition>`.
    #[must_use]
    pub const fn cloudevents_name(self) -> &'static str {
        match self {
            Self::FlowTask => "flow.task",
            Self::DLCJob => "dlc.job",
            Self::Model => "model.version",
            Self::DSWInstance => "dsw.instance",
        }
    }

    /// Reads a label's value; `None` for anything that is not exactly one of the four names.
    #[must_use]
    pub fn from_label(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == value)
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
