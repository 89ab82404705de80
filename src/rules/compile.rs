//! From a rule's spec to a rule that can be asked.

use std::cell::OnceCell;
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{Expression, Selector, SelectorExt as _};

use super::filter::{CompileError, Filter, FilterError, FilterInput};
use crate::api::condition::Reason;
use crate::api::notice_rule::{NoticeRuleSpec, RuleSource};
use crate::lifecycle::{Event, EventType, Source};

/// Longest name pattern, in bytes; the same as in the CRD.
const LONGEST_NAME: usize = 253;

/// A rule whose selectors, patterns and filters all compiled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    sources: Arc<[CompiledSource]>,
}

#[derive(Clone, Debug)]
struct CompiledSource {
    source: Source,
    /// Empty: every one.
    events: Vec<EventType>,
    selector: Option<Selector>,
    names: Option<GlobSet>,
    filter: Option<Filter>,
}

/// A rule's spec cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// There is nothing that the rule is about.
    #[error("spec.sources is empty; name at least one source")]
    NoSource,
    /// An event type of another source.
    #[error(
        "spec.sources[{index}].events[{position}]: {event} belongs to {belongs}, not to {source_type}; move it to an entry with type: {belongs}"
    )]
    ForeignEvent {
        /// Which entry.
        index: usize,
        /// Which event type.
        position: usize,
        /// The event type.
        event: EventType,
        /// Its own source.
        belongs: Source,
        /// The entry's source.
        source_type: Source,
    },
    /// A label selector that cannot be used.
    #[error("spec.sources[{index}].selector.matchExpressions[{position}]: {message}")]
    Selector {
        /// Which entry.
        index: usize,
        /// Which requirement.
        position: usize,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A name pattern that does not parse.
    #[error("spec.sources[{index}].names[{position}]: `{pattern}` cannot be used as a pattern: {message}")]
    Name {
        /// Which entry.
        index: usize,
        /// Which pattern.
        position: usize,
        /// The pattern.
        pattern: String,
        /// What is wrong.
        message: String,
    },
    /// A filter that does not compile.
    #[error("spec.sources[{index}].filter, {error}")]
    Filter {
        /// Which entry.
        index: usize,
        /// What is wrong, with line and column.
        error: CompileError,
    },
}

impl RuleError {
    /// Reason for the condition `Ready`.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::InvalidSource
    }
}

/// Compiles a rule.
pub fn compile(spec: &NoticeRuleSpec) -> Result<CompiledRule, RuleError> {
    if spec.sources.is_empty() {
        return Err(RuleError::NoSource);
    }
    let sources: Vec<_> = spec
        .sources
        .iter()
        .enumerate()
        .map(|(index, source)| compile_source(index, source))
        .collect::<Result<_, _>>()?;
    Ok(CompiledRule { sources: sources.into() })
}

fn compile_source(index: usize, spec: &RuleSource) -> Result<CompiledSource, RuleError> {
    let RuleSource { kind: source, events, selector, names, filter } = spec;
    for (position, &event) in events.iter().enumerate() {
        let belongs = event.source();
        if belongs != *source {
            return Err(RuleError::ForeignEvent { index, position, event, belongs, source_type: *source });
        }
    }
    let selector = selector.as_ref().map(|selector| compile_selector(index, selector)).transpose()?;
    let names = compile_names(index, names)?;
    let filter =
        filter.as_deref().map(Filter::compile).transpose().map_err(|error| RuleError::Filter { index, error })?;
    Ok(CompiledSource { source: *source, events: events.clone(), selector, names, filter })
}

fn compile_selector(index: usize, selector: &LabelSelector) -> Result<Selector, RuleError> {
    let mut compiled: Selector = selector.match_labels.iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    for (position, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let wrong = |message: &str| RuleError::Selector { index, position, message: message.to_owned() };
        let LabelSelectorRequirement { key, operator, values } = requirement;
        let has_values = values.as_ref().is_some_and(|values| !values.is_empty());
        // kube takes an empty list for `In`; the API server does not, and it would never match.
        match operator.as_str() {
            _ if key.is_empty() => return Err(wrong("key is empty; name a label")),
            "In" | "NotIn" if !has_values => return Err(wrong("In and NotIn need at least one of values")),
            "Exists" | "DoesNotExist" if has_values => {
                return Err(wrong("Exists and DoesNotExist take no values; use In or NotIn, or remove them"));
            }
            _ => {}
        }
        let expression = Expression::try_from(requirement.clone()).map_err(|_| {
            wrong(&format!("there is no operator {operator}; there are In, NotIn, Exists, DoesNotExist"))
        })?;
        compiled.extend(expression);
    }
    Ok(compiled)
}

fn compile_names(index: usize, names: &[String]) -> Result<Option<GlobSet>, RuleError> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut all = GlobSetBuilder::new();
    for (position, pattern) in names.iter().enumerate() {
        let wrong = |message: String| RuleError::Name { index, position, pattern: pattern.clone(), message };
        if pattern.is_empty() || pattern.len() > LONGEST_NAME {
            return Err(wrong(format!("it must have 1 to {LONGEST_NAME} characters")));
        }
        // The names of model versions have slashes in them, which separate nothing here.
        let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
        let glob = glob.map_err(|error| wrong(error.kind().to_string()))?;
        // Alone first: a set that fails does not say because of which pattern, and a matcher panics.
        GlobSet::new([&glob]).map_err(|_| wrong("it is nested too deeply or too long".to_owned()))?;
        all.add(glob);
    }
    let together = |error: globset::Error| RuleError::Name {
        index,
        position: 0,
        pattern: error.glob().unwrap_or_default().to_owned(),
        message: "the patterns are too long together; split them over several sources".to_owned(),
    };
    all.build().map(Some).map_err(together)
}

impl CompiledRule {
    /// Whether the rule is about an event: whether any of its sources is.
    ///
    /// A source whose filter fails on the event is not about it. If another one is, the answer is true and the failure
    /// is not told; else it is the answer. Never true because of an error.
    pub fn matches(&self, event: &Event) -> Result<bool, FilterError> {
        self.matches_with(event, &OnceCell::new())
    }

    /// The same, with the filters' view of the event made at most once for many rules.
    pub(super) fn matches_with(&self, event: &Event, input: &OnceCell<FilterInput>) -> Result<bool, FilterError> {
        let mut failure = None;
        for source in self.sources.iter().filter(|source| source.is_about(event)) {
            let Some(filter) = &source.filter else { return Ok(true) };
            match filter.passes(input.get_or_init(|| FilterInput::new(event))) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(false), Err)
    }
}

impl CompiledSource {
    /// Everything but the filter, which costs most.
    fn is_about(&self, event: &Event) -> bool {
        self.source == event.source
            && (self.events.is_empty() || self.events.iter().any(|kind| event.events.contains(kind)))
            && self.selector.as_ref().is_none_or(|selector| selector.matches(&event.subject.labels))
            && self.names.as_ref().is_none_or(|names| names.is_match(&event.subject.name))
    }
}

#[cfg(test)]
mod tests;
