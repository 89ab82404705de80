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
        match self {
            Self::Job(Source::DLCJob) | Self::Pod(Source::DLCJob) => training(found),
            Self::Job(Source::FlowTask) => task(found),
            // A Pod ends with its preemption; a Job goes on.
            Self::Pod(Source::FlowTask) => task(preemption_is_failure(found)),
            // The Pods of a Job may be scheduled or not; a Pod of its own is being created once it is scheduled.
            Self::Job(Source::DSWInstance) if found == Transition::Queued => Some(Transition::Creating),
            Self::Job(Source::DSWInstance) => instance(found),
            Self::Pod(Source::DSWInstance) => instance(preemption_is_failure(found)),
            Self::ImageSave => image_save(found),
            Self::Job(Source::Model) | Self::Pod(Source::Model) => None,
        }
    }
}

fn preemption_is_failure(found: Transition) -> Transition {
    if found == Transition::Preempted { Transition::Failed } else { found }
}

fn training(found: Transition) -> Option<Transition> {
    match found {
        Transition::Queued
        | Transition::BiddingStarted
        | Transition::Running
        | Transition::FaultTolerance
        | Transition::Preempted
        | Transition::Succeeded
        | Transition::Failed
        | Transition::Stopped => Some(found),
        // A training job has no event between being asked to stop and having stopped.
        Transition::Stopping => Some(Transition::Stopped),
        _ => None,
    }
}

fn instance(found: Transition) -> Option<Transition> {
    match found {
        Transition::Creating
        | Transition::Running
        | Transition::Failed
        | Transition::Stopping
        | Transition::Stopped => Some(found),
        Transition::Succeeded => Some(Transition::Stopped),
        _ => None,
    }
}

fn task(found: Transition) -> Option<Transition> {
    matches!(found, Transition::Succeeded | Transition::Failed).then_some(found)
}

fn image_save(found: Transition) -> Option<Transition> {
    match found {
        Transition::Running => Some(Transition::ImageSaving),
        Transition::Succeeded => Some(Transition::ImageSaved),
        Transition::Failed => Some(Transition::ImageSaveFailed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::EventType;
    use crate::lifecycle::event_type::Cause;
    use Transition::{
        Creating, Failed, FaultTolerance, ImageSaveFailed, ImageSaved, ImageSaving, Preempted, Queued, Running,
        Stopped, Stopping, Succeeded,
    };

    /// What a Job or Pod can be found to go through, in the order of the columns below.
    const FOUND: [Transition; 9] =
        [Queued, Creating, Running, FaultTolerance, Preempted, Succeeded, Failed, Stopping, Stopped];

    #[test]
    fn each_source_tells_its_own_transitions() {
        let none = None;
        #[rustfmt::skip]
        let table = [
            (Role::Job(Source::DLCJob), [Some(Queued), none, Some(Running), Some(FaultTolerance), Some(Preempted),
                Some(Succeeded), Some(Failed), Some(Stopped), Some(Stopped)]),
            (Role::Pod(Source::DLCJob), [Some(Queued), none, Some(Running), Some(FaultTolerance), Some(Preempted),
                Some(Succeeded), Some(Failed), Some(Stopped), Some(Stopped)]),
            (Role::Job(Source::DSWInstance), [Some(Creating), Some(Creating), Some(Running), none, none,
                Some(Stopped), Some(Failed), Some(Stopping), Some(Stopped)]),
            (Role::Pod(Source::DSWInstance), [none, Some(Creating), Some(Running), none, Some(Failed), Some(Stopped),
                Some(Failed), Some(Stopping), Some(Stopped)]),
            (Role::Job(Source::FlowTask), [none, none, none, none, none, Some(Succeeded), Some(Failed), none, none]),
            (Role::Pod(Source::FlowTask), [none, none, none, none, Some(Failed), Some(Succeeded), Some(Failed), none,
                none]),
            (Role::ImageSave, [none, none, Some(ImageSaving), none, none, Some(ImageSaved), Some(ImageSaveFailed),
                none, none]),
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
