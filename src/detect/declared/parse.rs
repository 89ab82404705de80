//! From a text to CEL's own tree, without ever overflowing the stack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::IdedExpr;

use super::functions::ENVIRONMENT;

/// Longest expression, in bytes.
const LONGEST: usize = 800;
/// Deepest nesting of brackets.
const DEEPEST: usize = 16;
/// Most operator characters: the parser recurses on chains of them.
const MOST_OPERATORS: usize = 200;

/// Why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Of the expression, counted from 0.
    pub(super) line: u64,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { line: 0, message: message.into() }
    }
}

/// The tree of an expression. The parser's generated code has `unreachable!` and `expect` in it, which no input is
/// known to reach.
pub(super) fn parse(source: &str) -> Result<IdedExpr, Refused> {
    check_shape(source)?;
    match catch_unwind(AssertUnwindSafe(|| ENVIRONMENT.compile(source))) {
        Ok(Ok(program)) => Ok(program.expression().clone()),
        Ok(Err(errors)) => {
            let first = errors.errors.into_iter().min_by_key(|error| error.pos.0 < 1);
            Err(first.map_or_else(
                || Refused::new("this is no CEL expression"),
                |error| Refused {
                    line: u64::try_from(error.pos.0.saturating_sub(1)).unwrap_or(0),
                    message: error.msg.split(" expecting ").next().unwrap_or("this is no CEL expression").to_owned(),
                },
            ))
        }
        Err(_) => Err(Refused::new("this is no CEL expression")),
    }
}

fn check_shape(source: &str) -> Result<(), Refused> {
    let depth = source.chars().fold((0_usize, 0_usize), |(depth, deepest), c| match c {
        '(' | '[' | '{' | '?' => (depth + 1, deepest.max(depth + 1)),
        ')' | ']' | '}' => (depth.saturating_sub(1), deepest),
        _ => (depth, deepest),
    });
    if source.trim().is_empty() {
        return Err(Refused::new("the expression is empty"));
    }
    if source.len() > LONGEST {
        return Err(Refused::new(format!("the expression is longer than {LONGEST} bytes; use `let` to divide it")));
    }
    if depth.1 > DEEPEST || source.chars().filter(|c| "!-+*/%?:=<>.[&|".contains(*c)).count() > MOST_OPERATORS {
        return Err(Refused::new("the expression is nested too deeply; use `let` to divide it"));
    }
    Ok(())
}
