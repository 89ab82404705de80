//! Whether everything that a filter names exists: variables, fields of `event` and `subject`, functions.
//!
//! CEL finds these only when it evaluates, and then the filter never matches: a mistyped name would be a silent rule.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// What a filter may name, with its fields.
const VARIABLES: [(&str, &[&str]); 2] = [
    ("event", &["id", "source", "transition", "events", "time", "observedTime", "reason", "message", "data"]),
    ("subject", &["apiVersion", "kind", "namespace", "name", "uid", "labels"]),
];
/// Names of types, which may stand where a variable may.
const TYPES: [&str; 13] = [
    "bool",
    "bytes",
    "double",
    "dyn",
    "duration",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
];
/// Functions of the standard environment. Operators are functions too, with names that are no identifiers.
const FUNCTIONS: [&str; 25] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];
/// Functions that are called with a list in front of them; as macros, they are gone once they are parsed.
const MACROS: [&str; 6] = ["all", "exists", "exists_one", "filter", "has", "map"];

/// Something that does not exist.
pub(super) struct Unknown<'e> {
    pub(super) node: &'e IdedExpr,
    pub(super) message: String,
}

pub(super) fn check(expression: &IdedExpr) -> Result<(), Unknown<'_>> {
    Check { bound: Vec::new() }.expression(expression)
}

struct Check<'e> {
    /// Variables of the macros around.
    bound: Vec<&'e str>,
}

impl<'e> Check<'e> {
    fn expression(&mut self, node: &'e IdedExpr) -> Result<(), Unknown<'e>> {
        match &node.expr {
            Expr::Ident(name) => self.variable(node, name),
            Expr::Call(call) => {
                function(node, &call.func_name)?;
                self.all(call.target.as_deref().into_iter().chain(&call.args))
            }
            Expr::Select(select) => {
                self.field(node, &select.operand, &select.field)?;
                self.expression(&select.operand)
            }
            Expr::List(list) => self.all(&list.elements),
            Expr::Map(map) => self.all(map.entries.iter().flat_map(|entry| parts(&entry.expr))),
            Expr::Struct(value) => {
                let message = format!("there is no type {}", value.type_name);
                Err(Unknown { node, message })
            }
            Expr::Comprehension(comprehension) => {
                let comprehension = comprehension.as_ref();
                self.all([&comprehension.iter_range, &comprehension.accu_init])?;
                let outside = self.bound.len();
                self.bound.push(&comprehension.iter_var);
                self.bound.extend(comprehension.iter_var2.as_deref());
                let inside = self.all([&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result]);
                self.bound.truncate(outside);
                inside
            }
            Expr::Literal(_) | Expr::Unspecified => Ok(()),
        }
    }

    fn all(&mut self, nodes: impl IntoIterator<Item = &'e IdedExpr>) -> Result<(), Unknown<'e>> {
        nodes.into_iter().try_for_each(|node| self.expression(node))
    }

    fn variable(&self, node: &'e IdedExpr, name: &str) -> Result<(), Unknown<'e>> {
        // Macros call their own variables by names that nobody can write.
        let exists = name.starts_with('@')
            || self.bound.contains(&name)
            || VARIABLES.iter().any(|(variable, _)| *variable == name)
            || TYPES.contains(&name);
        if exists {
            return Ok(());
        }
        let [(event, _), (subject, _)] = VARIABLES;
        let message = match VARIABLES.iter().find(|(_, fields)| fields.contains(&name)) {
            Some((variable, _)) => format!("there is no variable {name}; write {variable}.{name}"),
            None => format!("there is no variable {name}; there are {event} and {subject}"),
        };
        Err(Unknown { node, message })
    }

    fn field(&self, node: &'e IdedExpr, operand: &IdedExpr, field: &str) -> Result<(), Unknown<'e>> {
        let Expr::Ident(name) = &operand.expr else { return Ok(()) };
        let known = VARIABLES.iter().find(|(variable, _)| variable == name && !self.bound.contains(variable));
        match known {
            Some((variable, fields)) if !fields.contains(&field) => {
                let message = format!("{variable} has no field {field}; it has {}", fields.join(", "));
                Err(Unknown { node, message })
            }
            _ => Ok(()),
        }
    }
}

fn function<'e>(node: &'e IdedExpr, name: &str) -> Result<(), Unknown<'e>> {
    let is_operator = !name.starts_with(char::is_alphabetic);
    if is_operator || FUNCTIONS.contains(&name) {
        return Ok(());
    }
    let message = if MACROS.contains(&name) {
        format!("{name} is not used like this; write has(event.data.x), or list.{name}(x, ...) for the others")
    } else {
        format!("there is no function {name}; there are {}, {}", FUNCTIONS.join(", "), MACROS.join(", "))
    };
    Err(Unknown { node, message })
}

/// The expressions in an entry of a map.
pub(super) fn parts(entry: &EntryExpr) -> impl Iterator<Item = &IdedExpr> {
    let [first, second] = match entry {
        EntryExpr::StructField(field) => [Some(&field.value), None],
        EntryExpr::MapEntry(entry) => [Some(&entry.key), Some(&entry.value)],
    };
    first.into_iter().chain(second)
}
