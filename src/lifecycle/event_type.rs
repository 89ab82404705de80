//! The event types that a rule can name, and the transitions that each of them covers.
//!
//! The table is the console's list of event types ("Event notification" in the PAI manual), with three additions
//! that the console lacks: `TaskSucceeded`, `JobSucceeded` and `InstanceRunning`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Source, Transition};

/// When a transition of the covered kinds belongs to an event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Always.
    Any,
    /// Only if a deadline was the cause.
    Deadline,
}

macro_rules! event_types {
    ($($name:ident: $source:ident, $label:literal, $when:ident, [$($transition:ident),+]);+ $(;)?) => {
        /// One entry of `NoticeRule.spec.sources[].events`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum EventType { $(#[doc = $label] $name),+ }

        impl EventType {
            /// Every event type. For one transition, the most specific type stands first.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name as it stands in a rule.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The source that this type belongs to.
            #[must_use]
            pub const fn source(self) -> Source {
                match self { $(Self::$name => Source::$source),+ }
            }

            /// The words of the console for this type.
            #[must_use]
            pub const fn console_label(self) -> &'static str {
                match self { $(Self::$name => $label),+ }
            }

            /// The transitions that this type covers (for `JobTimeout`: of those, the ones with a deadline as cause).
            #[must_use]
            pub const fn transitions(self) -> &'static [Transition] {
                match self { $(Self::$name => &[$(Transition::$transition),+]),+ }
            }

            const fn when(self) -> When {
                match self { $(Self::$name => When::$when),+ }
            }
        }
    };
}

event_types! {
    TaskFailed: FlowTask, "Task Failed", Any, [Failed];
    TaskSucceeded: FlowTask, "Task Succeeded", Any, [Succeeded];
    TaskFinished: FlowTask, "Task Finished", Any, [Succeeded, Failed];
    JobQueued: DLCJob, "Job progress: Queued", Any, [Queued];
    JobBiddingStarted: DLCJob, "Job progress: Bidding Started", Any, [BiddingStarted];
    JobRunning: DLCJob, "Job progress: Running", Any, [Running];
    JobFailed: DLCJob, "Job progress: Failed", Any, [Failed];
    JobSucceeded: DLCJob, "Job Succeeded", Any, [Succeeded];
    JobFinished: DLCJob, "Task Finished", Any, [Succeeded, Failed];
    JobTimeout: DLCJob, "Job timeout", Deadline, [Failed];
    JobFaultTolerance: DLCJob, "Automatic fault tolerance", Any, [FaultTolerance];
    JobPreempted: DLCJob, "Other events: preempted", Any, [Preempted];
    JobStopped: DLCJob, "Other events: manually stopped", Any, [Stopped];
    ModelVersionApproved: Model, "Model version approved for deployment", Any, [Approved];
    ModelVersionStatusChanged: Model, "Model version status changed", Any, [Approved, StatusChanged];
    InstanceCreating: DSWInstance, "Instance status changes: Creating", Any, [Creating];
    InstanceRunning: DSWInstance, "Instance status changes: Running", Any, [Running];
    InstanceFailed: DSWInstance, "Instance status changes: Failed", Any, [Failed];
    ImageSaving: DSWInstance, "Saving Image", Any, [ImageSaving];
    ImageSaved: DSWInstance, "Image Saved Successfully", Any, [ImageSaved];
    ImageSaveFailed: DSWInstance, "Image Save Failed", Any, [ImageSaveFailed];
    InstanceStopping: DSWInstance, "Instance shutdown: Stopping", Any, [Stopping];
    InstanceStopped: DSWInstance, "Instance shutdown: Instance Stopped", Any, [Stopped];
}

/// Whether a failure was caused by a deadline. A separate type, so that call sites read as what they mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Any other cause, or none that is known.
    #[default]
    Other,
    /// A deadline passed (`activeDeadlineSeconds` of a Job).
    Deadline,
}

impl EventType {
    /// Whether this type covers `transition` of its own source, given the transition's cause.
    #[must_use]
    pub fn covers(self, transition: Transition, cause: Cause) -> bool {
        self.transitions().contains(&transition) && (self.when() == When::Any || cause == Cause::Deadline)
    }

    /// Every event type that a transition belongs to, most specific first; empty if the source has no such event.
    #[must_use]
    pub fn of(source: Source, transition: Transition, cause: Cause) -> Vec<Self> {
        Self::ALL.iter().copied().filter(|kind| kind.source() == source && kind.covers(transition, cause)).collect()
    }

    /// The type that names a transition in a Notice's name. Never depends on the cause, so that the name of a Notice
    /// depends only on what happened. `None` if the source has no event for the transition.
    #[must_use]
    pub fn naming(source: Source, transition: Transition) -> Option<Self> {
        Self::of(source, transition, Cause::Other).into_iter().next()
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_also_a_failure_and_an_end() {
        assert_eq!(
            EventType::of(Source::DLCJob, Transition::Failed, Cause::Deadline),
            [EventType::JobFailed, EventType::JobFinished, EventType::JobTimeout]
        );
        assert_eq!(
            EventType::of(Source::DLCJob, Transition::Failed, Cause::Other),
            [EventType::JobFailed, EventType::JobFinished]
        );
    }

    #[test]
    fn the_naming_type_does_not_depend_on_the_cause() {
        assert_eq!(EventType::naming(Source::DLCJob, Transition::Failed), Some(EventType::JobFailed));
        assert_eq!(EventType::naming(Source::DLCJob, Transition::Succeeded), Some(EventType::JobSucceeded));
        assert_eq!(EventType::naming(Source::FlowTask, Transition::Queued), None);
    }

    #[test]
    fn every_source_has_event_types_and_every_type_covers_something() {
        for source in Source::ALL {
            assert!(EventType::ALL.iter().any(|kind| kind.source() == source), "{source} has no event types");
        }
        assert!(EventType::ALL.iter().all(|kind| !kind.transitions().is_empty()));
    }
}
