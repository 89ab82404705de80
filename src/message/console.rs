//! Where a subject can be looked at: the workspace's `consoleUrl`, a template whose values are percent-encoded.

use std::sync::Arc;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use url::Url;

use super::Origin;
use super::template::{TemplateError, View, checked, context};
use crate::lifecycle::Event;

/// Longest URL that is put into a message, in bytes.
const LONGEST: usize = 2048;

/// A console URL that compiled.
#[derive(Clone, Debug)]
pub struct ConsoleUrl {
    environment: Arc<Environment<'static>>,
    source: Arc<str>,
}

impl ConsoleUrl {
    /// Compiles a URL template.
    ///
    /// # Errors
    /// [`TemplateError`] if it does not parse or names a variable that does not exist.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(20_000));
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(|out, _, value| {
            let encoded = url::form_urlencoded::byte_serialize(value.to_string().as_bytes()).collect::<String>();
            out.write_str(&encoded.replace('+', "%20")).map_err(minijinja::Error::from)
        });
        checked(&environment, "consoleUrl", source)?;
        Ok(Self { environment: Arc::new(environment), source: source.into() })
    }

    /// The URL of an event's subject; `None` if the template fails on it or gives no http or https URL.
    #[must_use]
    pub fn of(&self, origin: &Origin<'_>, event: &Event) -> Option<String> {
        let view = View { origin, event, title: "" };
        let context = minijinja::Value::from(minijinja::value::Serde(context(&view)));
        let text = self.environment.render_str(&self.source, context).ok()?;
        let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        Some(url.to_string()).filter(|url| url.len() <= LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::workspace::Locale;
    use crate::lifecycle::{Source, Subject, Transition};

    fn of(template: &str, name: &str) -> Option<String> {
        let event = Event {
            id: "e".to_owned(),
            source: Source::DLCJob,
            transition: Transition::Failed,
            events: Vec::new(),
            time: jiff::Timestamp::UNIX_EPOCH,
            observed_time: jiff::Timestamp::UNIX_EPOCH,
            reason: String::new(),
            message: String::new(),
            subject: Subject { name: name.to_owned(), ..Subject::default() },
            data: serde_json::Map::new(),
        };
        let origin = Origin { workspace: "w", namespace: "n", locale: Locale::En, rules: &[], console: None };
        ConsoleUrl::compile(template).unwrap().of(&origin, &event)
    }

    #[test]
    fn values_are_percent_encoded_and_cannot_leave_their_place() {
        let template = "https://c.example/{{ workspace.name }}/jobs/{{ subject.name }}?k={{ subject.kind }}";
        assert_eq!(of(template, "nightly-42").unwrap(), "https://c.example/w/jobs/nightly-42?k=");
        assert_eq!(
            of(template, "a/../b?x=1#y z)").unwrap(),
            "https://c.example/w/jobs/a%2F..%2Fb%3Fx%3D1%23y%20z%29?k="
        );
    }

    #[test]
    fn what_is_no_url_or_fails_is_no_link_and_what_cannot_work_is_refused() {
        assert_eq!(of("https://c.example/{{ subject.labels.nope }}", "a"), None);
        assert_eq!(of("{{ subject.name }}", "a"), None);
        let error = ConsoleUrl::compile("https://c.example/{{ nope }}").unwrap_err().to_string();
        assert!(error.starts_with("template.consoleUrl, line 1: there is no variable nope"), "{error}");
    }
}
