//! The text of a message, for any channel.
//!
//! Built-in texts exist in English and Chinese for every transition ([`locale`]); teams may write their own
//! ([`template`]). A [`Message`] knows nothing of Markdown, cards or JSON: that is the channels'. Start at [`compose`].

pub mod console;
pub mod digest;
pub mod locale;
mod own;
#[cfg(test)]
pub(crate) mod samples;
pub mod template;

use crate::api::workspace::Locale;
use crate::lifecycle::{Event, Transition};
pub use console::ConsoleUrl;
pub use digest::digest;
pub use own::OwnText;
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
    /// Where the subject can be looked at, if the workspace says so.
    pub link: Option<Link>,
}

/// A link to a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its words, in the message's language.
    pub label: &'static str,
    /// An http or https URL.
    pub url: String,
}

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Built-in: labels and values, to be escaped by the channel.
    Facts(Vec<Fact>),
    /// A team's own text, in the form that its channel takes.
    Text(OwnText),
    /// Several events in one message.
    Digest(Digest),
}

/// Several events in one message: how many of each, then the newest ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How often each thing happened, the most frequent first.
    pub counts: Vec<Count>,
    /// Every event, the newest first. A channel shows as many as it has room for.
    pub items: Vec<Item>,
    /// What to say of those that are not shown; `{}` stands for how many they are.
    pub more: &'static str,
}

/// How often something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What, as in `Job failed`.
    pub label: String,
    /// How often.
    pub count: usize,
}

/// One event of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// When, as people read it.
    pub time: String,
    /// The title of its own message.
    pub title: String,
    /// Where its subject can be looked at.
    pub url: Option<String>,
}

/// One line of a built-in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is, in the message's language.
    pub label: &'static str,
    /// What it says.
    pub value: String,
}

/// How a message should look; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Ended badly.
    Bad,
    /// Somebody may have to look.
    Warning,
    /// Ended well.
    Good,
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
    /// Where subjects can be looked at.
    pub console: Option<&'a ConsoleUrl>,
}

/// The message of an event: by the template, where there is one. A template that fails on this event loses nothing: the
/// built-in text goes out instead, and says so.
#[must_use]
pub fn compose(origin: &Origin<'_>, event: &Event, template: Option<&CompiledTemplate>) -> Message {
    let mut built_in = locale::built_in(origin.locale, origin.workspace, event);
    let url = origin.console.and_then(|console| console.of(origin, event));
    built_in.link = url.map(|url| Link { label: locale::open(origin.locale), url });
    let Some(template) = template else { return built_in };
    let view = View { origin, event, title: &built_in.title };
    match template.render(&view) {
        Ok((title, body)) => Message {
            title: title.unwrap_or(built_in.title),
            body: body.map_or(built_in.body, Body::Text),
            tone: built_in.tone,
            link: built_in.link,
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
