//! How the states of a Job or Pod are told for each source.
//!
//! Detectors find what an object went through in one set of words. Not every source has an event for each of them, and
//! some call it differently: a notebook whose Pod has succeeded was shut down.

use crate::lifecycle::{Source, Transition};

/// What an object stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A Job that stands for a subject of this source.
    Job(Source),
    /// A Job that saves an image of a notebook instance.
    ImageSave,
    /// A Pod that stands for a subject of this source.
    Pod(Source),
}

impl Role {
    /// The transition that the role's source tells, given the one that was found; `None` if it tells nothing.
    #[must_use]
    pub fn tells(self, found: Transition) -> Option<Transition> {
        use Transition::{
            Approved, BiddingStarted, Creating, Failed, FaultTolerance, ImageSaveFailed, ImageSaved, ImageSaving,
            Preempted, Queued, Running, StatusChanged, Stopped, Stopping, Succeeded,
        };
        match (self, found) {
            // Of no Job or Pod.
            (_, Approved | StatusChanged | ImageSaving | ImageSaved | ImageSaveFailed)
            | (Self::Job(Source::Model) | Self::Pod(Source::Model), _) => None,

            (Self::ImageSave, Running) => Some(ImageSaving),
            (Self::ImageSave, Succeeded) => Some(ImageSaved),
            (Self::ImageSave, Failed) => Some(ImageSaveFailed),
            (Self::ImageSave, _) => None,

            // A Pod ends with its preemption, a Job goes on.
            (Self::Pod(Source::FlowTask), Preempted) => Some(Failed),
            (Self::Job(Source::FlowTask) | Self::Pod(Source::FlowTask), Succeeded | Failed) => Some(found),
            (Self::Job(Source::FlowTask) | Self::Pod(Source::FlowTask), _) => None,

            // A job has no event between being scheduled and running, nor between being asked to stop and stopping.
            (Self::Job(Source::DLCJob) | Self::Pod(Source::DLCJob), Creating) => None,
            (Self::Job(Source::DLCJob) | Self::Pod(Source::DLCJob), Stopping) => Some(Stopped),
            (Self::Job(Source::DLCJob) | Self::Pod(Source::DLCJob), _) => Some(found),

            // The Pods of a Job may be scheduled or not; a Pod of its own is being created once it is scheduled.
            (Self::Job(Source::DSWInstance), Queued) => Some(Creating),
            (Self::Pod(Source::DSWInstance), Queued) => None,
            (Self::Pod(Source::DSWInstance), Preempted) => Some(Failed),
            (Self::Job(Source::DSWInstance), Preempted)
            | (Self::Job(Source::DSWInstance) | Self::Pod(Source::DSWInstance), FaultTolerance | BiddingStarted) => {
                None
            }
            (Self::Job(Source::DSWInstance) | Self::Pod(Source::DSWInstance), Succeeded) => Some(Stopped),
            (
                Self::Job(Source::DSWInstance) | Self::Pod(Source::DSWInstance),
                Creating | Running | Failed | Stopping | Stopped,
            ) => Some(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::EventType;
    use crate::lifecycle::event_type::Cause;
    use Transition::*;

    /// What a Job or Pod can be found to go through, in the order of the columns below.
    const FOUND: [Transition; 9] =
        [Queued, Creating, Running, FaultTolerance, Preempted, Succeeded, Failed, Stopping, Stopped];

    #[test]
    fn each_source_tells_its_own_transitions() {
        let none = None;
        #[rustfmt::skip]
        let table = [
            (Role::Job(Source::DLCJob), [Some(Queued), none, Some(Running), Some(FaultTolerance), Some(Preempted), Some(Succeeded), Some(Failed), Some(Stopped), Some(Stopped)]),
            (Role::Pod(Source::DLCJob), [Some(Queued), none, Some(Running), Some(FaultTolerance), Some(Preempted), Some(Succeeded), Some(Failed), Some(Stopped), Some(Stopped)]),
            (Role::Job(Source::DSWInstance), [Some(Creating), Some(Creating), Some(Running), none, none, Some(Stopped), Some(Failed), Some(Stopping), Some(Stopped)]),
            (Role::Pod(Source::DSWInstance), [none, Some(Creating), Some(Running), none, Some(Failed), Some(Stopped), Some(Failed), Some(Stopping), Some(Stopped)]),
            (Role::Job(Source::FlowTask), [none, none, none, none, none, Some(Succeeded), Some(Failed), none, none]),
            (Role::Pod(Source::FlowTask), [none, none, none, none, Some(Failed), Some(Succeeded), Some(Failed), none, none]),
            (Role::ImageSave, [none, none, Some(ImageSaving), none, none, Some(ImageSaved), Some(ImageSaveFailed), none, none]),
            (Role::Job(Source::Model), [none; 9]),
            (Role::Pod(Source::Model), [none; 9]),
        ];
        for (role, expected) in table {
            assert_eq!(FOUND.map(|found| role.tells(found)), expected, "{role:?}");
        }
    }

    #[test]
    fn whatever_is_told_has_an_event_type_of_its_source() {
        for source in Source::ALL {
            for role in [Role::Job(source), Role::Pod(source)] {
                for told in Transition::ALL.iter().filter_map(|found| role.tells(*found)) {
                    assert!(!EventType::of(source, told, Cause::Other).is_empty(), "{role:?} tells {told}");
                }
            }
        }
    }
}
