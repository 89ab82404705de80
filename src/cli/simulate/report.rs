//! What a simulation found, for programs and for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::problem::Problem;
use crate::channel::text::one_line;
use crate::lifecycle::Event;

/// What a simulation found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Report {
    /// The Notices that would be made, by the events' time.
    pub(super) notices: Vec<SimulatedNotice>,
    /// Transitions that would be no Notice, by their time.
    pub(super) unmatched: Vec<Event>,
    /// What is wrong with the objects.
    pub(super) problems: Vec<Problem>,
}

/// A Notice that would be made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct SimulatedNotice {
    pub(super) namespace: String,
    pub(super) name: String,
    /// As `Notice.spec.event`.
    pub(super) event: Event,
    pub(super) deliveries: Vec<SimulatedDelivery>,
}

/// A delivery of a Notice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct SimulatedDelivery {
    pub(super) target: String,
    pub(super) rules: Vec<String>,
    /// Empty if the target is suspended or not ready.
    pub(super) requests: Vec<ShownRequest>,
}

/// A request, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ShownRequest {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// The text form.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { notices, unmatched, problems } = self;
        let counts = [
            count(notices.len(), "Notice"),
            count(unmatched.len(), "unmatched event"),
            count(problems.len(), "problem"),
        ];
        writeln!(f, "{}", counts.join(", "))?;
        for notice in notices {
            notice.fmt(f)?;
        }
        if !unmatched.is_empty() {
            writeln!(f, "\nUnmatched: proven, but wanted by no rule in force")?;
            for event in unmatched {
                writeln!(f, "  {}", summary(event))?;
            }
        }
        if !problems.is_empty() {
            writeln!(f, "\nProblems")?;
            for Problem { object, message } in problems {
                writeln!(f, "  {}: {}", one_line(object), one_line(message))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for SimulatedNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, event, deliveries } = self;
        writeln!(f, "\nNotice {namespace}/{name}\n  {}", summary(event))?;
        for SimulatedDelivery { target, rules, requests } in deliveries {
            let plural = if rules.len() == 1 { "rule" } else { "rules" };
            writeln!(f, "  to {target}, by {plural} {}", rules.join(", "))?;
            if requests.is_empty() {
                writeln!(f, "    nothing: the target is suspended or not ready")?;
            }
            for ShownRequest { method, url, headers, body } in requests {
                writeln!(f, "    {method} {url}")?;
                for (name, value) in headers {
                    writeln!(f, "    {name}: {}", one_line(value))?;
                }
                writeln!(f)?;
                for line in body.lines() {
                    writeln!(f, "{}", format!("    {}", one_line(line)).trim_end())?;
                }
            }
        }
        Ok(())
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// One line about an event.
fn summary(event: &Event) -> String {
    let Event { source, transition, time, reason, subject, .. } = event;
    let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let (kind, namespace, name) = (&subject.kind, &subject.namespace, &subject.name);
    one_line(&format!("{time} {source} {}{because}: {kind} {namespace}/{name}", transition.as_str()))
}
