//! The text of a message, for any channel.
//!
//! Built-in texts exist in English and Chinese for every transition ([`locale`]); teams may write their own
//! ([`template`]). A [`Message`] knows nothing of Markdown, cards or JSON: that is the channels'. Start at [`compose`].

pub mod locale;
pub mod template;

use crate::api::workspace::Locale;
use crate::lifecycle::{Event, Transition};
use template::{CompiledTemplate, View};

/// A message before a channel gives it its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub title: String,
    /// The rest.
    pub body: Body,
    /// How it should look.
    pub tone: Tone,
}

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Built-in: labels and values, to be escaped by the channel.
    Facts(Vec<Fact>),
    /// A team's own text, in the form that its channel takes.
    Text(String),
}

/// One line of a built-in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is, in the message's language.
    pub label: &'static str,
    /// What it says.
    pub value: String,
}

/// How a message should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Ended well.
    Good,
    /// Ended badly.
    Bad,
    /// Somebody may have to look.
    Warning,
    /// For information.
    Neutral,
}

impl Tone {
    /// The tone of a transition.
    #[must_use]
    pub const fn of(transition: Transition) -> Self {
        match transition {
            Transition::Succeeded | Transition::ImageSaved | Transition::Approved => Self::Good,
            Transition::Failed | Transition::ImageSaveFailed => Self::Bad,
            Transition::FaultTolerance | Transition::Preempted | Transition::Stopped | Transition::Stopping => {
                Self::Warning
            }
            Transition::Queued
            | Transition::BiddingStarted
            | Transition::Creating
            | Transition::Running
            | Transition::ImageSaving
            | Transition::StatusChanged => Self::Neutral,
        }
    }
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Name of the Workspace.
    pub workspace: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its language.
    pub locale: Locale,
    /// The rules that chose the target.
    pub rules: &'a [String],
}

/// The message of an event: by the template, where there is one. A template that fails on this event loses nothing: the
/// built-in text goes out instead, and says so.
#[must_use]
pub fn compose(origin: &Origin<'_>, event: &Event, template: Option<&CompiledTemplate>) -> Message {
    let built_in = locale::built_in(origin.locale, origin.workspace, event);
    let Some(template) = template else { return built_in };
    let view = View { origin, event, title: &built_in.title };
    match template.render(&view) {
        Ok((title, body)) => Message {
            title: title.unwrap_or(built_in.title),
            body: body.map_or(built_in.body, Body::Text),
            tone: built_in.tone,
        },
        Err(error) => with_note(built_in, locale::template_failed(origin.locale), error.to_string()),
    }
}

fn with_note(mut message: Message, label: &'static str, value: String) -> Message {
    if let Body::Facts(facts) = &mut message.body {
        facts.push(Fact { label, value });
    }
    message
}
