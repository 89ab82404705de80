//! From a rule's spec to a rule that can be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use kube::core::{Selector, SelectorExt as _};

use super::filter::{CompileError, Filter, FilterError, FilterInput};
use crate::api::condition::Reason;
use crate::api::notice_rule::{NoticeRuleSpec, RuleSource};
use crate::lifecycle::{Event, EventType, Source};

/// A rule whose patterns and filters all compiled. Cheap to clone.
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
    /// Empty: every name.
    names: Vec<GlobMatcher>,
    filter: Option<Filter>,
}

/// A rule's spec cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// There is nothing that the rule is about.
    #[error("spec.sources is empty; name at least one source")]
    NoSource,
    /// An event type of another source.
    #[error("spec.sources[{index}].events: {event} belongs to {belongs}, not to {source_type}")]
    ForeignEvent {
        /// Which entry.
        index: usize,
        /// The event type.
        event: EventType,
        /// Its own source.
        belongs: Source,
        /// The entry's source.
        source_type: Source,
    },
    /// A label selector that cannot be used.
    #[error("spec.sources[{index}].selector: {message}")]
    Selector {
        /// Which entry.
        index: usize,
        /// What is wrong.
        message: String,
    },
    /// A name pattern that does not parse.
    #[error("spec.sources[{index}].names[{position}]: {message}")]
    Name {
        /// Which entry.
        index: usize,
        /// Which pattern.
        position: usize,
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
///
/// # Errors
/// [`RuleError`] names the field, what is wrong, and for filters line and column.
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
    if let Some(&event) = events.iter().find(|event| event.source() != *source) {
        return Err(RuleError::ForeignEvent { index, event, belongs: event.source(), source_type: *source });
    }
    let selector = selector
        .clone()
        .map(Selector::try_from)
        .transpose()
        .map_err(|error| RuleError::Selector { index, message: error.to_string() })?;
    let names = names
        .iter()
        .enumerate()
        .map(|(position, pattern)| {
            let glob = GlobBuilder::new(pattern).literal_separator(false).build();
            let wrong = |error: globset::Error| RuleError::Name { index, position, message: error.to_string() };
            glob.map(|glob| glob.compile_matcher()).map_err(wrong)
        })
        .collect::<Result<_, _>>()?;
    let filter =
        filter.as_deref().map(Filter::compile).transpose().map_err(|error| RuleError::Filter { index, error })?;
    Ok(CompiledSource { source: *source, events: events.clone(), selector, names, filter })
}

impl CompiledRule {
    /// Whether the rule is about an event: whether any of its sources is.
    ///
    /// # Errors
    /// [`FilterError`] if a filter failed and no other source matched. Never true because of an error.
    pub fn matches(&self, event: &Event) -> Result<bool, FilterError> {
        let mut input = None;
        let mut failure = None;
        for source in self.sources.iter().filter(|source| source.is_about(event)) {
            let Some(filter) = &source.filter else { return Ok(true) };
            let input = input.get_or_insert_with(|| FilterInput::new(event));
            match filter.passes(input) {
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
        let labels: &BTreeMap<String, String> = &event.subject.labels;
        self.source == event.source
            && (self.events.is_empty() || self.events.iter().any(|kind| event.events.contains(kind)))
            && self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
            && (self.names.is_empty() || self.names.iter().any(|name| name.is_match(&event.subject.name)))
    }
}

#[cfg(test)]
mod tests;
