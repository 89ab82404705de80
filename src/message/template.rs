//! Own texts of teams: minijinja templates, checked when they are read.
//!
//! A template sees `event`, `subject`, `workspace`, `rules` and `title` (the built-in one). A variable that does not exist
//! is found when the template is compiled; only `event.data` and `subject.labels` are free-form, and there
//! `default(...)` says what to write instead. A template cannot run forever and cannot grow without end.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value, json};

use super::Origin;
use super::own::{self, OwnText};
use crate::api::condition::Reason;
use crate::api::event_target::MessageTemplate;
use crate::lifecycle::Event;
use crate::lifecycle::event::filter_view;

/// Instructions that one rendering may take.
const FUEL: u64 = 200_000;
/// Longest text that a template may make, in bytes.
const LONGEST: usize = 64 * 1024;

/// What a template may name, besides what is below the free-form ones.
const KNOWN: [&str; 20] = [
    "event.id",
    "event.source",
    "event.transition",
    "event.events",
    "event.time",
    "event.observedTime",
    "event.reason",
    "event.message",
    "event.data",
    "subject.apiVersion",
    "subject.kind",
    "subject.namespace",
    "subject.name",
    "subject.uid",
    "subject.labels",
    "workspace.name",
    "workspace.namespace",
    "workspace.locale",
    "rules",
    "title",
];
/// Objects that may be named as a whole, as in `event|tojson`.
const WHOLE: [&str; 3] = ["event", "subject", "workspace"];
const FREE_FORM: [&str; 2] = ["event.data.", "subject.labels."];
/// Functions that minijinja itself brings.
const FUNCTIONS: [&str; 4] = ["range", "dict", "namespace", "debug"];

/// A template that compiled, and names only what exists.
#[derive(Clone, Debug)]
pub struct CompiledTemplate {
    environment: Arc<Environment<'static>>,
    title: Option<String>,
    body: Option<String>,
}

/// What a template sees.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Workspace and rules.
    pub origin: &'a Origin<'a>,
    /// The event.
    pub event: &'a Event,
    /// The built-in title.
    pub title: &'a str,
}

/// A template is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not parse, or names a filter that does not exist.
    #[error("template.{part}, line {line}: {message}")]
    Syntax {
        /// `title` or `body`.
        part: &'static str,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It names a variable that does not exist.
    #[error("template.{part}, line {line}: there is no variable {name}; there are {}", KNOWN.join(", "))]
    UnknownVariable {
        /// `title` or `body`.
        part: &'static str,
        /// Counted from 1.
        line: usize,
        /// The variable.
        name: String,
    },
    /// It failed on one event.
    #[error("template.{part}, line {line}: {message}")]
    Render {
        /// `title` or `body`.
        part: &'static str,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It made too long a text.
    #[error("template.{part}: the text is longer than {LONGEST} bytes")]
    TooLong {
        /// `title` or `body`.
        part: &'static str,
    },
}

impl TemplateError {
    /// Reason for a condition.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::InvalidTemplate
    }
}

/// Compiles a template.
///
/// # Errors
/// [`TemplateError`] with the line, if it does not parse or names a variable that does not exist.
pub fn compile(template: &MessageTemplate) -> Result<CompiledTemplate, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    // What is safe was made fit by the template itself, as by `tojson`.
    environment.set_formatter(|out, state, value| {
        if value.is_safe() {
            return minijinja::escape_formatter(out, state, value);
        }
        if value.is_undefined() {
            return Err(minijinja::Error::from(ErrorKind::UndefinedError));
        }
        out.write_str(&own::marked(&value.to_string())).map_err(minijinja::Error::from)
    });
    let MessageTemplate { title, body } = template.clone();
    for (part, source) in [("title", &title), ("body", &body)] {
        if let Some(source) = source {
            checked(&environment, part, source)?;
        }
    }
    Ok(CompiledTemplate { environment: Arc::new(environment), title, body })
}

/// Checks that a template parses and names only what exists.
pub(super) fn checked(environment: &Environment<'_>, part: &'static str, source: &str) -> Result<(), TemplateError> {
    let template = environment.template_from_str(source).map_err(|error| syntax(part, &error))?;
    let mut unknown: Vec<String> =
        template.undeclared_variables(true).into_iter().filter(|name| !is_known(name)).collect();
    unknown.sort();
    if let Some(name) = unknown.into_iter().next() {
        let line = 1 + source.lines().position(|line| line.contains(&name)).unwrap_or(0);
        return Err(TemplateError::UnknownVariable { part, line, name });
    }
    // A filter or function that does not exist shows only when it runs.
    match template.render(minijinja::Value::from(Serde(sample()))) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest
            ) =>
        {
            Err(syntax(part, &error))
        }
        _ => Ok(()),
    }
}

fn is_known(name: &str) -> bool {
    let root = name.split('.').next().unwrap_or(name);
    WHOLE.contains(&name)
        || FUNCTIONS.contains(&root)
        || FREE_FORM.iter().any(|prefix| name.starts_with(prefix))
        || KNOWN.iter().any(|known| name == *known || (!known.contains('.') && root == *known))
        // A method or an item of a known value, such as event.events.0.
        || KNOWN.iter().any(|known| name.strip_prefix(known).is_some_and(|rest| rest.starts_with('.') && *known == "event.events"))
}

fn sample() -> Value {
    json!({
        "event": {"id": "0", "source": "DLCJob", "transition": "Failed", "events": ["JobFailed"],
                  "time": "2026-01-01T00:00:00Z", "observedTime": "2026-01-01T00:00:00Z", "reason": "r",
                  "message": "m", "data": {}},
        "subject": {"apiVersion": "batch/v1", "kind": "Job", "namespace": "n", "name": "a", "uid": "u", "labels": {}},
        "workspace": {"name": "w", "namespace": "n", "locale": "en"}, "rules": ["r"], "title": "t",
    })
}

fn syntax(part: &'static str, error: &minijinja::Error) -> TemplateError {
    TemplateError::Syntax { part, line: error.line().unwrap_or(1), message: describe(error) }
}

fn describe(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
}

impl CompiledTemplate {
    /// Renders title and body, each where the template has one.
    ///
    /// # Errors
    /// [`TemplateError`] if it fails on this event.
    pub fn render(&self, view: &View<'_>) -> Result<(Option<String>, Option<OwnText>), TemplateError> {
        let context = minijinja::Value::from(Serde(context(view)));
        let render = |part: &'static str, source: &Option<String>| {
            let Some(source) = source else { return Ok(None) };
            let rendered = self.environment.render_str(source, context.clone()).map_err(|error| {
                TemplateError::Render { part, line: error.line().unwrap_or(1), message: describe(&error) }
            })?;
            if rendered.len() > LONGEST {
                Err(TemplateError::TooLong { part })
            } else {
                Ok(Some(OwnText::rendered(&rendered)))
            }
        };
        let title = render("title", &self.title)?;
        let title = title.map(|title| title.raw().split_whitespace().collect::<Vec<_>>().join(" "));
        Ok((title, render("body", &self.body)?))
    }
}

/// What a template sees, as values.
pub(super) fn context(view: &View<'_>) -> Value {
    let View { origin, event, title } = view;
    let (event, subject) = filter_view(event);
    let mut context = Map::new();
    context.insert("event".to_owned(), event);
    context.insert("subject".to_owned(), subject);
    let workspace = json!({"name": origin.workspace, "namespace": origin.namespace, "locale": origin.locale});
    context.insert("workspace".to_owned(), workspace);
    context.insert("rules".to_owned(), json!(origin.rules));
    context.insert("title".to_owned(), json!(title));
    Value::Object(context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::workspace::Locale;
    use crate::lifecycle::{EventType, Source, Subject, Transition};

    fn template(body: &str) -> MessageTemplate {
        MessageTemplate { title: None, body: Some(body.to_owned()) }
    }

    fn event() -> Event {
        Event {
            id: "e".to_owned(),
            source: Source::DLCJob,
            transition: Transition::Failed,
            events: vec![EventType::JobFailed],
            time: jiff::Timestamp::UNIX_EPOCH,
            observed_time: jiff::Timestamp::UNIX_EPOCH,
            reason: String::new(),
            message: String::new(),
            subject: Subject { name: "nightly".to_owned(), ..Subject::default() },
            data: Map::new(),
        }
    }

    fn render(body: &str) -> Result<String, TemplateError> {
        let rules = ["r".to_owned()];
        let origin = Origin { workspace: "w", namespace: "n", locale: Locale::En, rules: &rules, console: None };
        let view = View { origin: &origin, event: &event(), title: "Job nightly failed" };
        Ok(compile(&template(body))?.render(&view)?.1.map(|text| text.raw()).unwrap_or_default())
    }

    #[test]
    fn a_template_sees_event_subject_workspace_rules_and_title() {
        let text =
            render("{{ title }} in {{ workspace.name }}: {{ subject.name }} {{ event.reason }}{{ rules|join(',') }}");
        assert_eq!(text.unwrap(), "Job nightly failed in w: nightly r");
        assert_eq!(render("{% for e in event.events %}{{ e }}{% endfor %}").unwrap(), "JobFailed");
        assert_eq!(render("{{ subject.labels.team|default('nobody') }}").unwrap(), "nobody");
    }

    #[test]
    fn what_is_wrong_is_found_when_it_is_compiled_with_its_line() {
        let table = [
            ("one\n{{ event.nope }}", "template.body, line 2: there is no variable event.nope; there are event.id"),
            ("{{ nope }}", "template.body, line 1: there is no variable nope"),
            ("{{ event.reason", "template.body, line 1: syntax error"),
            ("\n\n{% if %}", "template.body, line 3: syntax error"),
            ("{{ event.reason|nope }}", "template.body, line 1: unknown filter"),
        ];
        for (body, expected) in table {
            let error = compile(&template(body)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{body:?}: {error}");
        }
    }

    #[test]
    fn a_value_keeps_apart_from_the_text_but_json_stays_json() {
        let shown = |body: &str| {
            let rules = ["r*".to_owned()];
            let origin = Origin { workspace: "w", namespace: "n", locale: Locale::En, rules: &rules, console: None };
            let view = View { origin: &origin, event: &event(), title: "t" };
            let text = compile(&template(body)).unwrap().render(&view).unwrap().1.unwrap();
            text.with(|value| format!("<{value}>"))
        };
        assert_eq!(shown("**{{ subject.name|upper }}** of {{ rules[0] }}"), "**<NIGHTLY>** of <r*>");
        assert_eq!(shown("{% set both = subject.name ~ '!' %}{{ both }}"), "<nightly!>");
        assert_eq!(shown("{\"name\": {{ subject.name|tojson }}}"), "{\"name\": \"nightly\"}");
    }

    #[test]
    fn a_missing_free_form_value_fails_on_that_event_only() {
        let error = render("{{ event.data.exitCode }}").unwrap_err();
        assert!(matches!(error, TemplateError::Render { line: 1, .. }), "{error}");
    }

    #[test]
    fn a_template_can_neither_run_forever_nor_grow_without_end() {
        let forever = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
        assert!(render(forever).is_err());
        let long = format!("{{% for a in range(9000) %}}{}{{% endfor %}}", "x".repeat(100));
        assert_eq!(render(&long).unwrap_err(), TemplateError::TooLong { part: "body" });
    }

    #[test]
    fn a_template_cannot_read_files_or_other_templates() {
        assert!(render("{% include '/etc/passwd' %}").is_err());
    }
}
