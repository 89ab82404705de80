//! A catalog file, compiled.

use super::error::CatalogError;
use super::expression::{Compiler, Expression, only_path};
use super::keep::Keep;
use super::parse::Refused;
use super::question::{Path, Question};
use super::schema::{self, File, Lend, Text};
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{EventType, Source, Transition};

/// How much of an expression an error shows, in bytes.
const MOST_SHOWN: usize = 160;

/// Everything of a file that is run. Files that are `like` another share its body.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) questions: Vec<Question>,
    pub(super) note: Option<String>,
    pub(super) source: Option<Source>,
    pub(super) observed_generation: Option<Expression>,
    pub(super) start: Option<Expression>,
    pub(super) finished: Option<Expression>,
    pub(super) deleted: Option<Transition>,
    pub(super) pods: Vec<Transition>,
    pub(super) rules: Vec<Rule>,
    pub(super) for_each: Option<ForEach>,
    /// What is read of `spec` and `status`.
    pub(super) keep: Keep,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) transition: Transition,
    pub(super) is_final: bool,
    pub(super) lend: Lend,
    pub(super) when: Expression,
    pub(super) occurrence: Option<Expression>,
    pub(super) time: Option<Expression>,
    pub(super) reason: Option<Expression>,
    pub(super) message: Option<Expression>,
    pub(super) say: String,
    pub(super) deadline: Option<Expression>,
    pub(super) data: Vec<(String, Expression)>,
}

#[derive(Debug)]
pub(super) struct ForEach {
    pub(super) path: Path,
    pub(super) name: Expression,
    pub(super) when: Option<Expression>,
    pub(super) rules: Vec<Rule>,
}

/// Compiles the body of a file. `text` is the whole file.
pub(super) fn compile(file: &File, name: &str, text: &str) -> Result<Body, CatalogError> {
    let mut compile = Compile { name, text, compiler: Compiler::default() };
    let source = source_of(file, &compile)?;
    compile.lets(file)?;
    let observed_generation = compile.maybe(file.observed_generation.as_ref())?;
    let start = compile.maybe(file.start.as_ref())?;
    let finished = compile.maybe(file.finished.as_ref())?;
    let rules = compile.rules(&file.transitions)?;
    let for_each = file.for_each.as_ref().map(|it| compile.for_each(it)).transpose()?;
    compile.check(file, source)?;
    let keep = Keep::of(&compile.compiler.questions, for_each.as_ref().map(|it| &it.path));
    Ok(Body {
        questions: compile.compiler.questions,
        note: file.note.clone(),
        source,
        observed_generation,
        start,
        finished,
        deleted: file.deleted.as_ref().map(|it| it.value),
        pods: file.pods.iter().map(|it| it.value).collect(),
        rules,
        for_each,
        keep,
    })
}

fn source_of(file: &File, compile: &Compile<'_>) -> Result<Option<Source>, CatalogError> {
    match file.source.as_ref().map(|it| it.value) {
        None => Err(compile.error(None, "`source` is missing: FlowTask, DLCJob, Model, DSWInstance or none")),
        Some(schema::Source::FlowTask) => Ok(Some(Source::FlowTask)),
        Some(schema::Source::DlcJob) => Ok(Some(Source::DLCJob)),
        Some(schema::Source::Model) => Ok(Some(Source::Model)),
        Some(schema::Source::DswInstance) => Ok(Some(Source::DSWInstance)),
        Some(schema::Source::Detail) => Ok(None),
    }
}

struct Compile<'a> {
    name: &'a str,
    text: &'a str,
    compiler: Compiler,
}

impl Compile<'_> {
    fn expression(&mut self, text: &Text) -> Result<Expression, CatalogError> {
        let place = format!("{}:{}", self.name, self.line(text));
        self.compiler.expression(&text.value, place).map_err(|refused| self.at(text, refused))
    }

    fn maybe(&mut self, text: Option<&Text>) -> Result<Option<Expression>, CatalogError> {
        text.map(|text| self.expression(text)).transpose()
    }

    /// Named expressions may use each other, in whatever order they stand.
    fn lets(&mut self, file: &File) -> Result<(), CatalogError> {
        let mut open: Vec<(&String, &Text)> = file.lets.iter().collect();
        while !open.is_empty() {
            let (before, mut first) = (open.len(), None);
            open.retain(|(name, text)| match self.compiler.tree(&text.value) {
                Ok(tree) => {
                    self.compiler.lets.insert((*name).clone(), tree);
                    false
                }
                Err(refused) => {
                    first.get_or_insert_with(|| self.at(text, refused));
                    true
                }
            });
            if let Some(error) = first.filter(|_| open.len() == before) {
                return Err(error);
            }
        }
        Ok(())
    }

    fn rules(&mut self, rules: &[schema::Rule]) -> Result<Vec<Rule>, CatalogError> {
        rules.iter().map(|rule| self.rule(rule)).collect()
    }

    fn rule(&mut self, rule: &schema::Rule) -> Result<Rule, CatalogError> {
        let data = rule.data.iter().map(|(field, text)| Ok((field.clone(), self.expression(text)?)));
        let data = data.collect::<Result<_, _>>()?;
        Ok(Rule {
            transition: rule.transition.value,
            is_final: rule.is_final,
            lend: rule.lend,
            when: self.expression(&rule.when)?,
            occurrence: self.maybe(rule.occurrence.as_ref())?,
            time: self.maybe(rule.time.as_ref())?,
            reason: self.maybe(rule.reason.as_ref())?,
            message: self.maybe(rule.message.as_ref())?,
            say: rule.say.clone().unwrap_or_default(),
            deadline: self.maybe(rule.deadline.as_ref())?,
            data,
        })
    }

    fn for_each(&mut self, it: &schema::ForEach) -> Result<ForEach, CatalogError> {
        let path = only_path(&it.path.value).map_err(|refused| self.at(&it.path, refused))?;
        self.compiler.in_item = true;
        let compiled = ForEach {
            path,
            name: self.expression(&it.name)?,
            when: self.maybe(it.when.as_ref())?,
            rules: self.rules(&it.transitions)?,
        };
        self.compiler.in_item = false;
        Ok(compiled)
    }

    /// That everything which can be told is an event of the source.
    fn check(&self, file: &File, source: Option<Source>) -> Result<(), CatalogError> {
        let inner = file.for_each.iter().flat_map(|it| &it.transitions);
        let rules = file.transitions.iter().chain(inner).map(|rule| &rule.transition);
        for it in rules.chain(&file.deleted).chain(&file.pods) {
            let Some(source) = source else { continue };
            if EventType::of(source, it.value, Cause::Other).is_empty() {
                let message = format!("{source} has no event for the transition {}", it.value);
                return Err(self.error(Some(it.referenced.line()), &message));
            }
        }
        if let Some(rule) = file.transitions.iter().find(|rule| source.is_none() && rule.lend == Lend::No) {
            let message = "with `source: none`, a transition is told of the owner: say `lend: detail`";
            return Err(self.error(Some(rule.transition.referenced.line()), message));
        }
        if let Some(rule) = file.transitions.iter().find(|rule| rule.is_final && file.finished.is_none()) {
            let message = "a `final` transition needs `finished`";
            return Err(self.error(Some(rule.transition.referenced.line()), message));
        }
        Ok(())
    }

    /// The line of the file in which an expression begins. A block begins below its `|`.
    fn line(&self, text: &Text) -> u64 {
        let line = text.referenced.line();
        let (line_before, column) = (line.saturating_sub(1), text.referenced.column().saturating_sub(1));
        let at = usize::try_from(line_before).ok().and_then(|line| self.text.lines().nth(line));
        let first = at.and_then(|at| at.chars().nth(usize::try_from(column).ok()?));
        if matches!(first, Some('|' | '>')) { line + 1 } else { line }
    }

    fn at(&self, text: &Text, Refused { line, message }: Refused) -> CatalogError {
        let source = text.value.trim();
        let shown = source.get(..source.floor_char_boundary(MOST_SHOWN)).unwrap_or_default();
        let more = if shown.len() < source.len() { "…" } else { "" };
        self.error(Some(self.line(text) + line), &format!("`{shown}{more}`: {message}"))
    }

    fn error(&self, line: Option<u64>, message: &str) -> CatalogError {
        CatalogError::new(self.name, line, message.to_owned())
    }
}
