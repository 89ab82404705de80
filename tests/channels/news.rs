//! What is told: events and their messages, as the operator makes them.

use pai_notification::api::event_target::MessageTemplate;
use pai_notification::api::workspace::Locale;
use pai_notification::lifecycle::event_type::Cause;
use pai_notification::lifecycle::{Event, EventType, Source, Subject, Transition};
use pai_notification::message::{self, ConsoleUrl, Message, Origin, template};
use serde_json::json;

pub const WORKSPACE: &str = "research";
pub const JOB: &str = "nightly-42";

/// An event and the text that goes out for it.
#[derive(Clone, Debug)]
pub struct News {
    pub event: Event,
    pub message: Message,
}

impl News {
    /// A job of this name that failed, in the built-in text.
    pub fn of(name: &str) -> Self {
        Self::told(failed(name, "BackoffLimitExceeded", "Job has reached the specified backoff limit"), None)
    }

    /// The same in a team's own text.
    pub fn in_own_words(name: &str) -> Self {
        Self::told(failed(name, "BackoffLimitExceeded", "Job has reached the specified backoff limit"), Some(OWN))
    }

    /// This value wherever an event holds one that somebody else has chosen.
    pub fn everywhere(value: &str, own: bool) -> Self {
        Self::told(failed(value, value, value), own.then_some(OWN))
    }

    pub fn told(event: Event, own: Option<[&str; 2]>) -> Self {
        let template = own.map(|[title, body]| {
            let (title, body) = (Some(title.to_owned()), Some(body.to_owned()));
            template::compile(&MessageTemplate { title, body }).unwrap()
        });
        let message = with_origin(|origin| message::compose(origin, &event, template.as_ref()));
        Self { event, message }
    }

    /// One message for so many events, the last of which is the newest.
    pub fn digest(count: usize) -> Self {
        let start = failed(JOB, "", "").time.as_second();
        let events: Vec<Event> = (0..count)
            .map(|n| {
                let mut event = failed(&format!("job-{n}"), "OOMKilled", "");
                if n % 3 == 0 {
                    event.transition = Transition::Succeeded;
                    event.reason.clear();
                }
                event.time = jiff::Timestamp::from_second(start + i64::try_from(n).unwrap()).unwrap();
                event
            })
            .collect();
        let all: Vec<&Event> = events.iter().collect();
        let message = with_origin(|origin| message::digest(origin, &all));
        Self { event: events.last().unwrap().clone(), message }
    }
}

/// Title and body of a team's own text; values stand within lines.
const OWN: [&str; 2] =
    ["Team vision: {{ subject.name }}", "**Job** {{ subject.name }}: {{ event.reason }}, {{ event.message }}."];

fn with_origin<T>(make: impl FnOnce(&Origin<'_>) -> T) -> T {
    let console = ConsoleUrl::compile("https://console.example.com/{{ workspace.name }}/{{ subject.uid }}").unwrap();
    let rules = ["ends".to_owned()];
    make(&Origin {
        workspace: WORKSPACE,
        namespace: WORKSPACE,
        locale: Locale::En,
        rules: &rules,
        console: Some(&console),
    })
}

pub fn failed(name: &str, reason: &str, message: &str) -> Event {
    let (source, transition) = (Source::DLCJob, Transition::Failed);
    let data = json!({"durationSeconds": 8047, "exitCode": 137, "container": "main", "podReason": "OOMKilled"});
    Event {
        id: format!("id-{}", name.len()),
        source,
        transition,
        events: EventType::of(source, transition, Cause::Other),
        time: "2026-11-24T10:32:05Z".parse().unwrap(),
        observed_time: "2026-11-24T10:32:06Z".parse().unwrap(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        subject: Subject {
            api_version: "batch/v1".to_owned(),
            kind: "Job".to_owned(),
            namespace: WORKSPACE.to_owned(),
            name: name.to_owned(),
            uid: "6f1c".to_owned(),
            labels: [("team".to_owned(), "vision".to_owned())].into(),
        },
        data: data.as_object().cloned().unwrap(),
    }
}
