//! The state changes that a subject can go through. One transition becomes one Notice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! transitions {
    ($($(#[doc = $doc:literal])+ $name:ident = $dashed:literal),+ $(,)?) => {
        /// One change of state of one subject, whatever number of event types or rules it belongs to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Transition { $($(#[doc = $doc])+ $name),+ }

        impl Transition {
            /// Every transition, in the order of a life.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name as it stands in `Notice.spec.event.transition`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The last part of the `CloudEvents` type: lower case, dash separated.
            #[must_use]
            pub const fn cloudevents_name(self) -> &'static str {
                match self { $(Self::$name => $dashed),+ }
            }
        }
    };
}

transitions! {
    /// Created, or waiting again, and not running.
    Queued = "queued",
    /// Waiting for spot capacity.
    BiddingStarted = "bidding-started",
    /// An instance is being set up.
    Creating = "creating",
    /// At least one worker is ready.
    Running = "running",
    /// A worker was lost or restarted, and the job goes on.
    FaultTolerance = "fault-tolerance",
    /// The scheduler took resources away for something more important.
    Preempted = "preempted",
    /// Ended well.
    Succeeded = "succeeded",
    /// Ended badly; a deadline that passed is one of the causes.
    Failed = "failed",
    /// An instance was asked to stop.
    Stopping = "stopping",
    /// Ended by hand: suspended or deleted before it had finished.
    Stopped = "stopped",
    /// An image of an instance is being saved.
    ImageSaving = "image-saving",
    /// An image of an instance was saved.
    ImageSaved = "image-saved",
    /// Saving an image of an instance failed.
    ImageSaveFailed = "image-save-failed",
    /// A model version was approved for deployment.
    Approved = "approved",
    /// A model version changed to another status than approved.
    StatusChanged = "status-changed",
}

impl std::fmt::Display for Transition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
