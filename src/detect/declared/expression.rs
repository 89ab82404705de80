//! From the text of an expression to a tree that can be run, and its run.
//!
//! Paths, variables and questions about the object are taken out ([`super::question`]), comparisons become ours, and
//! every name is checked, so that a mistyped one is an error at the start and not a silence later.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{CelBool, CelInt, CelList};
use cel::common::value::{CowVal, Val};
use cel::{Context, Value};
use jiff::Timestamp;
use serde_json::Value as Json;

use super::functions::{self, TABLE};
use super::parse::{Refused, parse};
use super::question::{METADATA, Path, Question, Root, Since, Step, variable};

/// Most nodes of a tree. It is run by recursion, so this bounds the stack too.
const LARGEST: usize = 600;

/// Functions of CEL that make sense here. Operators are functions too, with names that are no identifiers.
const STANDARD: [&str; 12] = [
    "bool",
    "contains",
    "double",
    "duration",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
];
/// Questions that are asked like functions.
const QUESTIONS: [&str; 6] = ["is", "isNot", "since", "reason", "message", "podsReady"];

/// An expression that can be run on any object of its kind.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    tree: IdedExpr,
    /// Where it stands, as `file:line`.
    pub(super) place: String,
}

/// What the expressions of one file share.
#[derive(Default)]
pub(super) struct Compiler {
    pub(super) questions: Vec<Question>,
    /// Named expressions, already rewritten.
    pub(super) lets: BTreeMap<String, IdedExpr>,
    /// Whether `item` and `key` may be named.
    pub(super) in_item: bool,
}

impl Compiler {
    pub(super) fn expression(&mut self, source: &str, place: String) -> Result<Expression, Refused> {
        Ok(Expression { tree: self.tree(source)?, place })
    }

    pub(super) fn tree(&mut self, source: &str) -> Result<IdedExpr, Refused> {
        let tree = parse(source)?;
        let tree = Rewrite { compiler: self, bound: Vec::new() }.node(tree)?;
        // What `let` names is put in wherever it is used.
        if size(&tree) > LARGEST {
            return Err(Refused::new("with all that `let` puts in, the expression is too large"));
        }
        Ok(tree)
    }

    fn ask(&mut self, question: Question) -> Expr {
        let known = self.questions.iter().position(|known| *known == question);
        let number = known.unwrap_or_else(|| {
            self.questions.push(question);
            self.questions.len() - 1
        });
        Expr::Ident(variable(number))
    }
}

/// A path and nothing else.
pub(super) fn only_path(source: &str) -> Result<Path, Refused> {
    let tree = parse(source)?;
    let message = "this must be a path such as status.nodes";
    path(&tree, &[]).filter(|path| !path.steps.is_empty()).ok_or_else(|| Refused::new(message))
}

struct Rewrite<'c> {
    compiler: &'c mut Compiler,
    /// Variables of the macros around.
    bound: Vec<String>,
}

impl Rewrite<'_> {
    fn node(&mut self, IdedExpr { id, expr }: IdedExpr) -> Result<IdedExpr, Refused> {
        Ok(IdedExpr { id, expr: self.expr(id, expr)? })
    }

    fn nodes(&mut self, nodes: Vec<IdedExpr>) -> Result<Vec<IdedExpr>, Refused> {
        nodes.into_iter().map(|node| self.node(node)).collect()
    }

    fn expr(&mut self, id: u64, expr: Expr) -> Result<Expr, Refused> {
        if let Some(path) = path(&IdedExpr { id, expr: expr.clone() }, &self.bound) {
            return Ok(self.compiler.ask(Question::Path(self.check(path)?)));
        }
        match expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) if select.test => match path(&select.operand, &self.bound) {
                Some(mut path) => {
                    path.steps.push(Step::Field(select.field));
                    Ok(self.compiler.ask(Question::Has(self.check(path)?)))
                }
                None => Err(Refused::new("has() takes a path; compare with null instead")),
            },
            Expr::Select(select) => {
                let field = literal(LiteralValue::String(select.field.into()));
                Ok(call("get", vec![self.node(*select.operand)?, field]))
            }
            Expr::Call(it) => self.call(it),
            Expr::List(mut list) => {
                list.elements = self.nodes(list.elements)?;
                Ok(Expr::List(list))
            }
            Expr::Map(mut map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        entry.key = self.node(std::mem::take(&mut entry.key))?;
                        entry.value = self.node(std::mem::take(&mut entry.value))?;
                    }
                }
                Ok(Expr::Map(map))
            }
            Expr::Comprehension(it) => self.comprehension(*it),
            Expr::Struct(it) => Err(Refused::new(format!("there is no type {}", it.type_name))),
            Expr::Literal(_) | Expr::Unspecified => Ok(expr),
        }
    }

    /// That a path can lead anywhere.
    fn check(&self, path: Path) -> Result<Path, Refused> {
        let Path { root, steps } = &path;
        match (root, steps.as_slice()) {
            (Root::Item, _) if !self.compiler.in_item => Err(Refused::new("there is no item outside of forEach")),
            (Root::Labels | Root::Annotations, [Step::Field(_)]) | (Root::Spec | Root::Status | Root::Item, _) => {
                Ok(path)
            }
            (Root::Labels | Root::Annotations, _) => {
                Err(Refused::new("one label or annotation is named at a time: labels['key']"))
            }
            (Root::Metadata, [Step::Field(field)]) if METADATA.contains(&field.as_str()) => Ok(path),
            (Root::Metadata, _) => Err(Refused::new(format!(
                "of metadata there are {}; labels and annotations stand alone",
                METADATA.join(", ")
            ))),
        }
    }

    fn variable(&mut self, name: String) -> Result<Expr, Refused> {
        if self.bound.contains(&name) {
            return Ok(Expr::Ident(name));
        }
        if let Some(tree) = self.compiler.lets.get(&name) {
            return Ok(tree.expr.clone());
        }
        match name.as_str() {
            "queuedByKueue" => Ok(self.compiler.ask(Question::QueuedByKueue)),
            "podsUnschedulable" => Ok(self.compiler.ask(Question::PodsUnschedulable)),
            "asksForSpot" => Ok(self.compiler.ask(Question::AsksForSpot)),
            "key" if self.compiler.in_item => Ok(self.compiler.ask(Question::Key)),
            _ => {
                let roots: Vec<&str> = Root::ALL.iter().map(|(name, _)| *name).collect();
                let known = roots.join(", ");
                Err(Refused::new(format!(
                    "there is no {name}; there are {known}, asksForSpot, podsUnschedulable, queuedByKueue and what `let` names"
                )))
            }
        }
    }

    fn call(&mut self, CallExpr { func_name, target, args }: CallExpr) -> Result<Expr, Refused> {
        let name = func_name.as_str();
        if QUESTIONS.contains(&name) && target.is_none() {
            let question = self.question(name, &args)?;
            return Ok(self.compiler.ask(question));
        }
        if let Some(function) = TABLE.iter().find(|function| function.name == name) {
            let fits = (function.arity.least..=function.arity.most).contains(&args.len());
            if target.is_some() || !fits {
                return Err(Refused::new(format!("write {}", function.usage)));
            }
        } else if name.starts_with(char::is_alphabetic) && !STANDARD.contains(&name) {
            let ours: Vec<&str> = TABLE.iter().map(|function| function.name).collect();
            let (questions, ours, standard) = (QUESTIONS.join(", "), ours.join(", "), STANDARD.join(", "));
            return Err(Refused::new(format!(
                "there is no function {name}; there are {questions}, {ours}, {standard}"
            )));
        }
        let args = self.nodes(args)?;
        let target = target.map(|target| self.node(*target).map(Box::new)).transpose()?;
        let func_name = match name {
            operators::LESS => functions::LESS.to_owned(),
            operators::LESS_EQUALS => functions::LESS_EQUALS.to_owned(),
            operators::GREATER => functions::GREATER.to_owned(),
            operators::GREATER_EQUALS => functions::GREATER_EQUALS.to_owned(),
            operators::INDEX => "get".to_owned(),
            _ => func_name,
        };
        Ok(Expr::Call(CallExpr { func_name, target, args }))
    }

    fn question(&self, name: &str, arguments: &[IdedExpr]) -> Result<Question, Refused> {
        if name == "podsReady" {
            return Ok(Question::PodsReady(self.pods_ready(arguments)?));
        }
        let [IdedExpr { expr: Expr::Literal(LiteralValue::String(kind)), .. }] = arguments else {
            return Err(Refused::new(format!("write {name}('Type') with the type of a condition")));
        };
        let kind = kind.inner().to_owned();
        Ok(match name {
            "is" => Question::Condition { kind, status: "True" },
            "isNot" => Question::Condition { kind, status: "False" },
            "since" => Question::Since(kind),
            "reason" => Question::Reason(kind),
            _ => Question::Message(kind),
        })
    }

    fn pods_ready(&self, arguments: &[IdedExpr]) -> Result<Since, Refused> {
        let usage = || Refused::new("write podsReady(), podsReady(status.startTime) or podsReady('Type')");
        match arguments {
            [] => Ok(Since::Ever),
            [IdedExpr { expr: Expr::Literal(LiteralValue::String(kind)), .. }] => {
                Ok(Since::Condition(kind.inner().to_owned()))
            }
            [since] => Ok(Since::Path(self.check(path(since, &self.bound).ok_or_else(usage)?)?)),
            _ => Err(usage()),
        }
    }

    fn comprehension(&mut self, it: ComprehensionExpr) -> Result<Expr, Refused> {
        let iter_range = self.node(it.iter_range)?;
        let accu_init = self.node(it.accu_init)?;
        let outside = self.bound.len();
        self.bound.push(it.iter_var.clone());
        self.bound.extend(it.iter_var2.clone());
        self.bound.push(it.accu_var.clone());
        let loop_cond = self.node(it.loop_cond)?;
        let loop_step = self.node(it.loop_step)?;
        let result = self.node(it.result)?;
        self.bound.truncate(outside);
        // What is no list has no elements.
        let iter_range = IdedExpr { id: iter_range.id, expr: call("values", vec![iter_range]) };
        let it = ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, ..it };
        Ok(Expr::Comprehension(Box::new(it)))
    }
}

/// The path that an expression spells, if it is one.
fn path(node: &IdedExpr, bound: &[String]) -> Option<Path> {
    let with = |node: &IdedExpr, step: Step| {
        let mut path = path(node, bound)?;
        match (path.root, path.steps.is_empty(), &step) {
            (Root::Metadata, true, Step::Field(field)) if field == "labels" => path.root = Root::Labels,
            (Root::Metadata, true, Step::Field(field)) if field == "annotations" => path.root = Root::Annotations,
            _ => path.steps.push(step),
        }
        Some(path)
    };
    match &node.expr {
        Expr::Ident(name) if !bound.contains(name) => {
            let (_, root) = Root::ALL.iter().find(|(root, _)| root == name)?;
            Some(Path { root: *root, steps: Vec::new() })
        }
        Expr::Select(select) if !select.test => with(&select.operand, Step::Field(select.field.clone())),
        Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::INDEX => {
            match args.as_slice() {
                [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }] => {
                    with(of, Step::Field(key.inner().to_owned()))
                }
                [of, IdedExpr { expr: Expr::Literal(LiteralValue::Int(index)), .. }] => {
                    with(of, Step::Index(usize::try_from(*index.inner()).ok()?))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// How many nodes a tree has.
fn size(node: &IdedExpr) -> usize {
    let all = |nodes: &[IdedExpr]| nodes.iter().map(size).sum::<usize>();
    1 + match &node.expr {
        Expr::Call(call) => call.target.as_deref().map_or(0, size) + all(&call.args),
        Expr::Select(select) => size(&select.operand),
        Expr::List(list) => all(&list.elements),
        Expr::Map(map) => map
            .entries
            .iter()
            .map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => size(&entry.key) + size(&entry.value),
                EntryExpr::StructField(field) => size(&field.value),
            })
            .sum(),
        Expr::Comprehension(it) => {
            [&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result].map(size).iter().sum()
        }
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

fn call(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args })
}

fn literal(value: LiteralValue) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(value) }
}

impl Expression {
    /// Runs it; the error says why it gives nothing.
    fn run<'e, 'v>(&'e self, context: &'e Context<'_, 'v>) -> Result<CowVal<'e, 'v>, String> {
        // No input is known to make the interpreter panic, but it has code that does.
        match catch_unwind(AssertUnwindSafe(|| Value::resolve_val(&self.tree, context))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(short(&error.to_string())),
            Err(_) => Err("it cannot be evaluated".to_owned()),
        }
    }

    pub(super) fn truth(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        let value = self.run(context)?;
        match value.downcast_ref::<CelBool>() {
            Some(it) => Ok(*it.inner()),
            None => Err(format!("it gives {} where true or false is needed", value.get_type().name())),
        }
    }

    /// A text; numbers and truth values are written out, anything else is empty.
    pub(super) fn text(&self, context: &Context<'_, '_>) -> Result<String, String> {
        self.run(context).map(|value| functions::as_text(&*value))
    }

    pub(super) fn time(&self, context: &Context<'_, '_>) -> Result<Option<Timestamp>, String> {
        self.run(context).map(|value| functions::as_time(&*value))
    }

    pub(super) fn number(&self, context: &Context<'_, '_>) -> Result<Option<i64>, String> {
        self.run(context).map(|value| value.downcast_ref::<CelInt>().map(|it| *it.inner()))
    }

    /// A value for `data`; `None` for null and the empty text.
    pub(super) fn data(&self, context: &Context<'_, '_>) -> Result<Option<Json>, String> {
        self.run(context).map(|value| as_json(&*value))
    }
}

fn as_json(value: &(dyn Val + '_)) -> Option<Json> {
    if let Some(list) = value.downcast_ref::<CelList>() {
        return Some(list.inner().iter().filter_map(|it| as_json(&**it)).collect());
    }
    match Value::try_from(value).ok()? {
        Value::Bool(it) => Some(it.into()),
        Value::Int(it) => Some(it.into()),
        Value::Float(it) => serde_json::Number::from_f64(it).map(Json::Number),
        Value::String(it) if !it.is_empty() => Some(it.as_str().into()),
        _ => None,
    }
}

fn short(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}
