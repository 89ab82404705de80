//! Filters: CEL expressions over `event` and `subject` that must be true.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Program, Value};

use crate::lifecycle::Event;
use crate::lifecycle::event::filter_view;

/// What a filter may name.
const KNOWN: [&str; 2] = ["event", "subject"];
/// Deepest nesting of brackets and runs of prefix operators: the parser recurses on them.
const DEEPEST: usize = 32;
/// Most operators in one filter.
const MOST_OPERATORS: usize = 400;

/// A filter that compiled.
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
    pub line: i64,
    /// Counted from 1.
    pub column: i64,
    /// What is wrong.
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
}

/// An event in the form that filters see: made once for all filters.
pub struct FilterInput {
    event: Value,
    subject: Value,
}

impl FilterInput {
    /// The view of an event.
    #[must_use]
    pub fn new(event: &Event) -> Self {
        let (event, subject) = filter_view(event);
        let convert = |value| cel::to_value(value).unwrap_or(Value::Null);
        Self { event: convert(event), subject: convert(subject) }
    }
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// [`CompileError`] with line and column.
    pub fn compile(source: &str) -> Result<Self, CompileError> {
        check_shape(source)?;
        // The parser's generated code has been seen to panic on odd input.
        let parsed = catch_unwind(AssertUnwindSafe(|| Program::compile(source)));
        let at_start = |message: &str| CompileError { line: 1, column: 1, message: message.to_owned() };
        let program = match parsed {
            Ok(Ok(program)) => program,
            Ok(Err(errors)) => {
                let first = errors.errors.first();
                return Err(first.map_or_else(
                    || at_start("does not parse"),
                    |error| CompileError {
                        line: i64::try_from(error.pos.0).unwrap_or(1).max(1),
                        column: i64::try_from(error.pos.1).unwrap_or(1).max(1),
                        message: error.msg.clone(),
                    },
                ));
            }
            Err(_) => return Err(at_start("does not parse")),
        };
        if let Some((id, name)) = unknown(program.expression(), &mut Vec::new()) {
            let (line, column) = program.source_info().offset_for(id).map_or((1, 1), |(start, _)| place(source, start));
            let message = format!("there is no variable {name}; there are event and subject");
            return Err(CompileError { line, column, message });
        }
        Ok(Self { program: Arc::new(program), source: source.into() })
    }

    /// Whether an event passes.
    ///
    /// # Errors
    /// [`FilterError`] if the filter fails on it.
    pub fn passes(&self, input: &FilterInput) -> Result<bool, FilterError> {
        let failed = |message: String| FilterError::Failed { filter: self.source.to_string(), message };
        let mut context = Context::default();
        context.add_variable_from_value("event", input.event.clone());
        context.add_variable_from_value("subject", input.subject.clone());
        let result = catch_unwind(AssertUnwindSafe(|| self.program.execute(&context)));
        match result {
            Ok(Ok(Value::Bool(passes))) => Ok(passes),
            Ok(Ok(other)) => {
                Err(FilterError::NotBool { filter: self.source.to_string(), kind: other.type_of().to_string() })
            }
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("it cannot be evaluated".to_owned())),
        }
    }
}

/// Line and column, counted from 1, of a character.
fn place(source: &str, offset: impl TryInto<usize>) -> (i64, i64) {
    source.chars().take(offset.try_into().unwrap_or(0)).fold((1, 1), |(line, column), c| match c {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    })
}

/// Refuses what would make the parser recurse too deeply, before it is asked.
fn check_shape(source: &str) -> Result<(), CompileError> {
    let (mut depth, mut prefixes, mut operators) = (0_usize, 0_usize, 0_usize);
    let (mut line, mut column) = (1, 0);
    for c in source.chars() {
        column += 1;
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '!' | '-' => prefixes += 1,
            '\n' => (line, column) = (line + 1, 0),
            _ => {}
        }
        if matches!(c, '!' | '-' | '+' | '*' | '/' | '%' | '?' | ':' | '&' | '|' | '=' | '<' | '>' | '.' | '[') {
            operators += 1;
        }
        if !matches!(c, '!' | '-') && !c.is_whitespace() {
            prefixes = 0;
        }
        if depth > DEEPEST || prefixes > DEEPEST || operators > MOST_OPERATORS {
            let message =
                "the filter is nested too deeply or too long here; split it over several sources or rules".to_owned();
            return Err(CompileError { line, column, message });
        }
    }
    Ok(())
}

/// The first variable that is neither known nor bound by a macro such as `exists`.
fn unknown<'e>(expression: &'e IdedExpr, bound: &mut Vec<&'e str>) -> Option<(u64, &'e str)> {
    let any = |expressions: Vec<&'e IdedExpr>, bound: &mut Vec<&'e str>| {
        expressions.into_iter().find_map(|expression| unknown(expression, bound))
    };
    match &expression.expr {
        Expr::Ident(name) => {
            let known = KNOWN.contains(&name.as_str()) || bound.contains(&name.as_str()) || name.starts_with('@');
            (!known && !TYPES.contains(&name.as_str())).then_some((expression.id, name.as_str()))
        }
        Expr::Call(call) => any(call.target.as_deref().into_iter().chain(&call.args).collect(), bound),
        Expr::Select(select) => unknown(&select.operand, bound),
        Expr::List(list) => any(list.elements.iter().collect(), bound),
        Expr::Map(map) => any(entries(map.entries.iter().map(|entry| &entry.expr)), bound),
        Expr::Struct(value) => any(entries(value.entries.iter().map(|entry| &entry.expr)), bound),
        Expr::Comprehension(comprehension) => {
            let before = bound.len();
            let outside = any(vec![&comprehension.iter_range, &comprehension.accu_init], bound);
            bound.push(&comprehension.iter_var);
            bound.push(&comprehension.accu_var);
            bound.extend(comprehension.iter_var2.as_deref());
            let inside = any(vec![&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result], bound);
            bound.truncate(before);
            outside.or(inside)
        }
        Expr::Literal(_) | Expr::Unspecified => None,
    }
}

/// Names of types, which may stand where a variable may.
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "timestamp", "type", "uint"];

fn entries<'e>(entries: impl Iterator<Item = &'e EntryExpr>) -> Vec<&'e IdedExpr> {
    entries
        .flat_map(|entry| match entry {
            EntryExpr::StructField(field) => vec![&field.value],
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        })
        .collect()
}
