//! Filters: CEL expressions over `event` and `subject` that must be true.
//!
//! Rules are written by teams, and one team's filter must not harm another's notifications. So a filter is refused when
//! it is compiled if it would recurse too deeply ([`shape`]), names what does not exist ([`names`]), or could take long
//! ([`cost`]). One that fails on an event does not match it. Start at [`Filter`].

mod cost;
mod names;
mod shape;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::parser::Expression;
use cel::{Context, Env, ParseErrors, Program, Value};
use serde_json::Value as Json;

use crate::lifecycle::Event;
use crate::lifecycle::event::filter_view;
use cost::{Extent, MOST_AT_RUN_TIME};
use shape::Place;

/// CEL's standard functions, without optional values, which Kubernetes users know as little as `cost` does. Made once:
/// making it costs more than evaluating most filters.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// A filter that compiled. Cheap to clone.
#[derive(Clone)]
pub struct Filter {
    program: Arc<Program>,
    source: Arc<str>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Filter").field(&self.source).finish()
    }
}

/// A filter does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct CompileError {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

/// A filter failed on one event, which counts as no match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It could not be evaluated.
    #[error("the filter `{filter}` failed: {message}")]
    Failed {
        /// The filter.
        filter: String,
        /// Why.
        message: String,
    },
    /// It is neither true nor false.
    #[error("the filter `{filter}` gave {kind} where true or false is needed")]
    NotBool {
        /// The filter.
        filter: String,
        /// What it gave.
        kind: String,
    },
    /// It would take too long on this event, which has more in it than events mostly have.
    #[error("the filter `{filter}` would take too long on this event; nest fewer all, exists, map and filter")]
    TooExpensive {
        /// The filter.
        filter: String,
    },
}

/// An event in the form that filters see: made once for all filters.
pub struct FilterInput {
    event: Value,
    subject: Value,
    extent: Extent,
}

impl FilterInput {
    /// The view of an event.
    #[must_use]
    pub fn new(event: &Event) -> Self {
        let (event, subject) = filter_view(event);
        let extent = Extent::of(&event).max(Extent::of(&subject));
        Self { event: value(event), subject: value(subject), extent }
    }
}

/// As CEL sees JSON. cel's own conversion makes a `uint` of every number that is not negative, and CEL adds none to an
/// `int`: `event.data.durationSeconds / 60` would fail.
fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(it) => Value::Bool(it),
        Json::Number(number) => number.as_i64().map_or_else(
            || number.as_u64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::UInt),
            Value::Int,
        ),
        Json::String(text) => Value::String(Arc::new(text)),
        Json::Array(items) => Value::List(Arc::new(items.into_iter().map(value).collect())),
        Json::Object(fields) => {
            Value::from(fields.into_iter().map(|(key, field)| (key, value(field))).collect::<HashMap<_, _>>())
        }
    }
}

impl Filter {
    /// Compiles a filter.
    pub fn compile(source: &str) -> Result<Self, CompileError> {
        shape::check(source)?;
        let program = parse(source)?;
        // An error of the names comes with its node, wherever that is; the rest is about the filter as a whole.
        if let Err(names::Unknown { node, message }) = names::check(program.expression()) {
            let (line, column) = place_of(&program, source, node);
            return Err(CompileError { line, column, message });
        }
        if cost::estimate(program.expression(), Extent::USUAL) > cost::MOST {
            let message = "the filter could take too long on one event; nest fewer all, exists, map and filter";
            return Err(CompileError { line: 1, column: 1, message: message.to_owned() });
        }
        Ok(Self { program: Arc::new(program), source: source.into() })
    }

    /// Whether an event passes.
    pub fn passes(&self, input: &FilterInput) -> Result<bool, FilterError> {
        let filter = || self.source.to_string();
        if input.extent.exceeds(Extent::USUAL)
            && cost::estimate(self.program.expression(), input.extent) > MOST_AT_RUN_TIME
        {
            return Err(FilterError::TooExpensive { filter: filter() });
        }
        let mut context = Context::with_env(ENVIRONMENT.clone());
        context.add_variable_from_value("event", input.event.clone());
        context.add_variable_from_value("subject", input.subject.clone());
        match catch_unwind(AssertUnwindSafe(|| self.program.execute(&context))) {
            Ok(Ok(Value::Bool(passes))) => Ok(passes),
            Ok(Ok(other)) => Err(FilterError::NotBool { filter: filter(), kind: other.type_of().to_string() }),
            Ok(Err(error)) => Err(FilterError::Failed { filter: filter(), message: short(&error.to_string()) }),
            Err(_) => Err(FilterError::Failed { filter: filter(), message: "it cannot be evaluated".to_owned() }),
        }
    }
}

/// The parser's generated code has `unreachable!` and `expect` in it, which no input is known to reach.
fn parse(source: &str) -> Result<Program, CompileError> {
    let at_start = |message: &str| CompileError { line: 1, column: 1, message: message.to_owned() };
    match catch_unwind(AssertUnwindSafe(|| ENVIRONMENT.compile(source))) {
        Ok(Ok(program)) => Ok(program),
        Ok(Err(errors)) => Err(first(errors).unwrap_or_else(|| at_start("this is no CEL expression"))),
        Err(_) => Err(at_start("this is no CEL expression")),
    }
}

/// The first error that has a place; the later ones mostly follow from it.
fn first(ParseErrors { errors }: ParseErrors) -> Option<CompileError> {
    let place = |error: &cel::ParseError| {
        Some((usize::try_from(error.pos.0).ok()?.max(1), usize::try_from(error.pos.1).ok()?.max(1)))
    };
    let error = errors.into_iter().min_by_key(|error| error.pos.0 < 1)?;
    let (line, column) = place(&error).unwrap_or((1, 1));
    Some(CompileError { line, column, message: advice(&error.msg) })
}

/// The parser's words without the names of its tokens.
fn advice(message: &str) -> String {
    if message.contains("Recursion limit") {
        return "this is nested too deeply; split the filter over several sources or rules".to_owned();
    }
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if message.contains("'<EOF>'") && message.starts_with("mismatched input") {
        return "the expression ends here, where more is needed".to_owned();
    }
    if message.contains("'= '") || message.contains("'='") {
        return "= is no operator; write == to compare".to_owned();
    }
    short(message.split(" expecting ").next().unwrap_or(message))
}

fn short(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// Line and column of a node. Macros make nodes of their own, at the place of what was written.
fn place_of(program: &Program, source: &str, node: &Expression) -> Place {
    let offset = program.source_info().offset_for(node.id).map_or(0, |(start, _)| start);
    shape::place(source, usize::try_from(offset).unwrap_or(0))
}
