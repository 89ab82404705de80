//! How long a filter could take, estimated from above without evaluating it.
//!
//! CEL always ends, but `all` in `all` in `all` may take years, and adding a text to itself in each of them fills the
//! memory. So every expression is given the most that its evaluation can cost and the most that its value can hold.

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue};
use serde_json::Value;

use super::names::parts;

/// Most that a filter may cost on a usual event. A unit is about 10 to 50 ns.
pub(super) const MOST: u64 = 1_000_000;
/// Most that it may cost on an event that is larger than usual.
pub(super) const MOST_AT_RUN_TIME: u64 = 10 * MOST;

/// Bytes that are dealt with in about the time of one step.
const BYTES_PER_UNIT: u64 = 64;
/// Compiling a regular expression costs as much as many steps, and is done each time.
const REGEX: u64 = 500;

/// How much there is in a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// All of it, in units.
    size: u64,
    /// Elements of the longest list or map within.
    length: u64,
}

impl Extent {
    /// What is assumed of `event` and `subject`; what is larger is estimated again when it comes.
    pub(super) const USUAL: Self = Self { size: 64, length: 32 };
    /// A number and the like.
    const ONE: Self = Self { size: 1, length: 0 };

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::ONE,
            Value::String(text) => Self::text(text),
            Value::Array(items) => items.iter().map(Self::of).fold(Self::container(items.len()), Self::with),
            Value::Object(fields) => {
                let parts = fields.iter().map(|(key, value)| Self::text(key).with(Self::of(value)));
                parts.fold(Self::container(fields.len()), Self::with)
            }
        }
    }

    fn text(text: &str) -> Self {
        Self { size: 1 + count(text.len()) / BYTES_PER_UNIT, length: 0 }
    }

    fn container(elements: usize) -> Self {
        Self { size: 1, length: count(elements) }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self { size: self.size.max(other.size), length: self.length.max(other.length) }
    }

    pub(super) fn exceeds(self, other: Self) -> bool {
        self.size > other.size || self.length > other.length
    }

    /// Together with what is within.
    fn with(self, part: Self) -> Self {
        Self { size: self.size.saturating_add(part.size), length: self.length.max(part.length) }
    }

    /// One after the other.
    fn joined(self, other: Self) -> Self {
        Self { size: self.size.saturating_add(other.size), length: self.length.saturating_add(other.length) }
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// The most that evaluating can cost, if `event` and `subject` are of this extent. Never less than the truth; at most
/// `u64::MAX`.
pub(super) fn estimate(expression: &IdedExpr, given: Extent) -> u64 {
    Estimator { given, bound: Vec::new() }.expression(expression).cost
}

/// An expression's cost, and its value's extent.
#[derive(Clone, Copy)]
struct Estimate {
    cost: u64,
    value: Extent,
}

struct Estimator<'e> {
    given: Extent,
    /// Variables of the macros around, innermost last.
    bound: Vec<(&'e str, Extent)>,
}

impl<'e> Estimator<'e> {
    fn expression(&mut self, node: &'e IdedExpr) -> Estimate {
        match &node.expr {
            Expr::Unspecified => Estimate { cost: 1, value: Extent::ONE },
            Expr::Literal(literal) => Estimate { cost: 1, value: literal_extent(literal) },
            Expr::Ident(name) => Estimate { cost: 1, value: self.variable(name) },
            Expr::Select(select) => {
                let operand = self.expression(&select.operand);
                Estimate { cost: operand.cost.saturating_add(1), value: operand.value }
            }
            Expr::List(list) => self.container(list.elements.iter(), list.elements.len()),
            Expr::Map(map) => {
                self.container(map.entries.iter().flat_map(|entry| parts(&entry.expr)), map.entries.len())
            }
            Expr::Struct(value) => {
                self.container(value.entries.iter().flat_map(|entry| parts(&entry.expr)), value.entries.len())
            }
            Expr::Call(call) => self.call(&call.func_name, call.target.as_deref().into_iter().chain(&call.args)),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn variable(&self, name: &str) -> Extent {
        self.bound.iter().rev().find(|(bound, _)| *bound == name).map_or(self.given, |(_, extent)| *extent)
    }

    fn container(&mut self, parts: impl Iterator<Item = &'e IdedExpr>, elements: usize) -> Estimate {
        let start = Estimate { cost: 1, value: Extent::container(elements) };
        parts.map(|part| self.expression(part)).collect::<Vec<_>>().into_iter().fold(start, |all, part| Estimate {
            cost: all.cost.saturating_add(part.cost),
            value: all.value.with(part.value),
        })
    }

    /// Functions look at the whole of what they are given, at most; only some give back more than a number.
    fn call(&mut self, function: &str, arguments: impl Iterator<Item = &'e IdedExpr>) -> Estimate {
        let arguments: Vec<Estimate> = arguments.map(|argument| self.expression(argument)).collect();
        let all = arguments.iter().fold(Extent::default(), |all, argument| all.joined(argument.value));
        let own = match function {
            // Take what they were given as it is.
            "_[_]" | "_?_:_" | "_&&_" | "_||_" | "!_" | "@not_strictly_false" | "size" | "type" | "dyn" => 1,
            "matches" => all.size.saturating_add(REGEX),
            _ => all.size.saturating_add(1),
        };
        let value = match function {
            "_+_" | "_[_]" | "_?_:_" | "string" | "bytes" | "dyn" => all,
            _ => Extent::ONE,
        };
        let cost = arguments.iter().fold(own, |cost, argument| cost.saturating_add(argument.cost));
        Estimate { cost, value }
    }

    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) -> Estimate {
        let ComprehensionExpr { iter_range, iter_var, iter_var2, accu_var, accu_init, loop_cond, loop_step, result } =
            comprehension;
        let range = self.expression(iter_range);
        let init = self.expression(accu_init);
        let outside = self.bound.len();
        // An element is a part of the range, and holds no more than the range does.
        self.bound.push((iter_var, range.value));
        self.bound.extend(iter_var2.as_deref().map(|name| (name, range.value)));
        self.bound.push((accu_var, init.value));
        let [condition, step] = [loop_cond, loop_step].map(|part| self.expression(part));
        let rounds = range.value.length.max(1);
        // `map` and `filter` add one element a round, which holds no more than a round makes of an empty list.
        let grown = Extent { size: rounds.saturating_mul(step.value.size), length: rounds.max(step.value.length) };
        let (value, copies) = match accu_init.expr {
            // The list so far is copied in every round.
            Expr::List(_) => (grown, rounds.saturating_mul(grown.size)),
            _ => (Extent::ONE, 0),
        };
        self.bound.pop();
        self.bound.push((accu_var, value));
        let result = self.expression(result);
        self.bound.truncate(outside);
        let cost = rounds
            .saturating_mul(condition.cost.saturating_add(step.cost))
            .saturating_add(range.cost)
            .saturating_add(init.cost)
            .saturating_add(copies)
            .saturating_add(result.cost);
        Estimate { cost, value: result.value }
    }
}

fn literal_extent(literal: &LiteralValue) -> Extent {
    match literal {
        LiteralValue::String(text) => Extent::text(text.inner()),
        LiteralValue::Bytes(bytes) => Extent { size: 1 + count(bytes.inner().len()) / BYTES_PER_UNIT, length: 0 },
        LiteralValue::Boolean(_)
        | LiteralValue::Double(_)
        | LiteralValue::Int(_)
        | LiteralValue::Null
        | LiteralValue::UInt(_) => Extent::ONE,
    }
}
