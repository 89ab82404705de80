//! English.

use jiff::SignedDuration;

use super::{Words, split};
use crate::lifecycle::{Source, Transition};

pub(super) const WORDS: Words = Words {
    title,
    because: ": ",
    workspace: "Workspace",
    subject: "Object",
    time: "Time",
    reason: "Reason",
    details: "Details",
    ran: "Ran for",
    exit: "Ended with",
    exit_code: "exit code",
    container: "container",
    pod: "Pod",
    node: "Node",
    restarts: "Restarts",
    labels: "Labels",
    template_failed: "Own template failed",
    test: "Connectivity test: messages of PAI Notification will arrive here",
    open: "Open",
    digest: "{count} events in workspace {workspace}",
    more: "… and {} more",
    duration,
};

const fn title(source: Source, transition: Transition, deadline: bool) -> &'static str {
    match source {
        Source::DLCJob => job(transition, deadline),
        Source::FlowTask => task(transition),
        Source::DSWInstance => instance(transition),
        Source::Model => model(transition),
    }
}

const fn job(transition: Transition, deadline: bool) -> &'static str {
    match transition {
        Transition::Queued => "Job {} is queued",
        Transition::BiddingStarted => "Job {} is waiting for spot capacity",
        Transition::Creating => "Job {} is being set up",
        Transition::Running => "Job {} is running",
        Transition::FaultTolerance => "Job {} lost a worker and goes on",
        Transition::Preempted => "Job {} was preempted",
        Transition::Succeeded => "Job {} succeeded",
        Transition::Failed if deadline => "Job {} failed: its time limit has passed",
        Transition::Failed => "Job {} failed",
        Transition::Stopping => "Job {} is stopping",
        Transition::Stopped => "Job {} was stopped",
        Transition::ImageSaving | Transition::ImageSaved | Transition::ImageSaveFailed => instance(transition),
        Transition::Approved | Transition::StatusChanged => model(transition),
    }
}

const fn task(transition: Transition) -> &'static str {
    match transition {
        Transition::Succeeded => "Task {} succeeded",
        Transition::Failed => "Task {} failed",
        Transition::Stopped => "Task {} was stopped",
        _ => "Task {} has changed",
    }
}

const fn instance(transition: Transition) -> &'static str {
    match transition {
        Transition::Creating => "Notebook {} is being created",
        Transition::Running => "Notebook {} is running",
        Transition::Failed => "Notebook {} failed",
        Transition::Stopping => "Notebook {} is stopping",
        Transition::Stopped => "Notebook {} has stopped",
        Transition::ImageSaving => "An image of notebook {} is being saved",
        Transition::ImageSaved => "An image of notebook {} was saved",
        Transition::ImageSaveFailed => "Saving an image of notebook {} failed",
        _ => "Notebook {} has changed",
    }
}

const fn model(transition: Transition) -> &'static str {
    match transition {
        Transition::Approved => "Model version {} was approved for deployment",
        _ => "Model version {} changed its status",
    }
}

fn duration(duration: SignedDuration) -> String {
    match split(duration) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
