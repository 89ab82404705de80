//! Runs a body on one object.

use cel::Context;

use super::below::{self, Below};
use super::body::{Body, ForEach, Rule};
use super::error::Problem;
use super::expression::Expression;
use super::functions::ENVIRONMENT;
use super::object::Object;
use super::question::{Item, Scope};
use super::schema::Lend;
use crate::detect::pod;
use crate::detect::{Detected, Presence};
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Source, Transition};
use serde_json::Value as Json;

/// What was found in one object, and what could not be read of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Every transition that the state proves.
    pub found: Vec<Detected>,
    /// The expressions that failed. They count as not proven; the others are not affected.
    pub problems: Vec<Problem>,
}

/// One look at one object.
pub(super) struct Run<'a> {
    body: &'a Body,
    object: &'a Object,
    below: &'a Below<'a>,
    problems: Vec<Problem>,
}

/// What is evaluated in: the object alone, or one of its items.
struct Place<'a, 'c, 'v> {
    context: &'c Context<'c, 'v>,
    item: Option<(&'a str, &'a str)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(body: &'a Body, object: &'a Object, below: &'a Below<'a>) -> Self {
        Self { body, object, below, problems: Vec::new() }
    }

    fn scope(&self, item: Option<Item<'a>>) -> Scope<'a> {
        Scope {
            questions: &self.body.questions,
            object: self.object,
            item,
            pods: self.below.pods,
            queued_by_kueue: self.object.metadata.is_queued_by_kueue() || self.below.is_queued_by_kueue(),
        }
    }

    pub(super) fn is_finished(&mut self) -> bool {
        let scope = self.scope(None);
        let context = context(&scope);
        self.finished(&context)
    }

    fn finished(&mut self, context: &Context<'_, '_>) -> bool {
        self.body.finished.as_ref().is_some_and(|finished| self.truth(finished, context))
    }

    /// Everything that the object's state proves, in the words of the kind's own source.
    pub(super) fn detect(mut self, presence: Presence) -> Findings {
        let scope = self.scope(None);
        let context = context(&scope);
        let place = Place { context: &context, item: None };
        let is_current = self.is_current(&context);
        let finished = self.finished(&context);
        let removed = presence != Presence::Present || self.object.metadata.deletion.is_some();
        let mut found = Vec::new();
        if let (Some(for_each), true) = (&self.body.for_each, is_current) {
            found.extend(self.items(for_each, &scope));
        }
        if finished {
            if is_current {
                found.extend(self.rules(&self.body.rules, &place, |rule| rule.is_final));
            }
            found = below::combine(found, true, self.below);
        } else if removed && self.body.deleted.is_some() {
            let stopped = self.rules(&self.body.rules, &place, |rule| {
                !rule.is_final && is_current && rule.transition == Transition::Stopped
            });
            // Deleting what was stopped before does not stop it a second time.
            let gone = if stopped.is_empty() { self.removed(presence, &context) } else { None };
            found.extend(stopped.into_iter().chain(gone));
        } else if !removed {
            if is_current {
                found.extend(self.rules(&self.body.rules, &place, |rule| !rule.is_final));
            }
            found.extend(below::of_pods(self.below.pods, &self.body.pods, self.object.asks_for_spot()));
            found = below::combine(found, false, self.below);
        }
        Findings { found, problems: self.problems }
    }

    /// What the object lends to the one above it, in this way.
    pub(super) fn lend(mut self, lend: Lend) -> Findings {
        let scope = self.scope(None);
        let context = context(&scope);
        let place = Place { context: &context, item: None };
        if !self.is_current(&context) {
            return Findings::default();
        }
        let finished = self.finished(&context);
        let found = self.rules(&self.body.rules, &place, |rule| rule.lend == lend && rule.is_final == finished);
        Findings { found, problems: self.problems }
    }

    /// Whether the status can be read, and is about the present spec. A generation that is missing or zero is not
    /// reported.
    fn is_current(&mut self, context: &Context<'_, '_>) -> bool {
        if !is_readable(&self.object.status) {
            return false;
        }
        let observed = self.body.observed_generation.as_ref();
        let observed = observed.and_then(|it| self.noted(it, Expression::number(it, context)).flatten());
        match (observed.filter(|observed| *observed > 0), self.object.metadata.generation) {
            (Some(observed), Some(generation)) => observed >= generation,
            _ => true,
        }
    }

    fn removed(&mut self, presence: Presence, context: &Context<'_, '_>) -> Option<Detected> {
        let transition = self.body.deleted?;
        let time = self.object.metadata.deletion_request();
        let start = self.body.start.as_ref().and_then(|start| self.noted(start, start.time(context)).flatten());
        // An instance has an event for being on its way out.
        if presence == Presence::Present && self.body.source == Some(Source::DSWInstance) {
            let found = Detected::new(Transition::Stopping, "deleted", time);
            return Some(found.because("Deleted", "the instance is being deleted"));
        }
        let found = Detected::new(transition, "deleted", time).with_span(start, time);
        if presence == Presence::Gone && time.is_none() {
            // It may as well have finished and been cleaned up: what is not known is not said.
            return Some(found.because("Gone", "gone; the cause was not observed"));
        }
        let what = if self.body.source == Some(Source::DSWInstance) { "instance" } else { "job" };
        let reason = format!("{}Deleted", self.object.kind);
        Some(found.because(reason, format!("the {what} was deleted before it had finished")))
    }

    fn items(&mut self, for_each: &'a ForEach, outer: &Scope<'a>) -> Vec<Detected> {
        let items: Vec<(std::borrow::Cow<'a, str>, &'a Json)> = match outer.json(&for_each.path) {
            Some(Json::Object(map)) => map.iter().map(|(key, value)| (key.as_str().into(), value)).collect(),
            Some(Json::Array(list)) => {
                list.iter().enumerate().map(|(index, value)| (index.to_string().into(), value)).collect()
            }
            _ => Vec::new(),
        };
        let mut found = Vec::new();
        for (key, value) in &items {
            let scope = Scope { item: Some(Item { key, value }), ..*outer };
            let context = context(&scope);
            if for_each.when.as_ref().is_some_and(|when| !self.truth(when, &context)) {
                continue;
            }
            let name = self.noted(&for_each.name, for_each.name.text(&context)).unwrap_or_default();
            let place = Place { context: &context, item: Some((key, &name)) };
            found.extend(self.rules(&for_each.rules, &place, |_| true));
        }
        found
    }

    fn rules(&mut self, rules: &'a [Rule], place: &Place<'_, '_, '_>, counts: impl Fn(&Rule) -> bool) -> Vec<Detected> {
        let mut found = Vec::new();
        for rule in rules.iter().filter(|rule| counts(rule)) {
            if self.truth(&rule.when, place.context) {
                found.push(self.told(rule, place));
            }
        }
        found
    }

    fn told(&mut self, rule: &Rule, place: &Place<'_, '_, '_>) -> Detected {
        let context = place.context;
        let mut text =
            |it: &Option<Expression>| it.as_ref().and_then(|it| self.noted(it, it.text(context))).unwrap_or_default();
        let occurrence = text(&rule.occurrence);
        let reason = text(&rule.reason);
        let message = Some(text(&rule.message)).filter(|text| !text.is_empty()).unwrap_or_else(|| rule.say.clone());
        let time = rule.time.as_ref().and_then(|it| self.noted(it, it.time(context)).flatten());
        let occurrence = match place.item {
            Some((key, _)) => format!("{key}:{occurrence}"),
            None => occurrence,
        };
        let mut found = Detected::new(rule.transition, occurrence, time).because(reason, message);
        if rule.deadline.as_ref().is_some_and(|deadline| self.truth(deadline, context)) {
            found.cause = Cause::Deadline;
        }
        if place.item.is_none() && (rule.is_final || rule.transition == Transition::Running) {
            let start = self.body.start.as_ref().and_then(|start| self.noted(start, start.time(context)).flatten());
            found = found.with_span(start, time.filter(|_| rule.is_final));
        }
        found = self.with_loss(found, rule);
        for (field, expression) in &rule.data {
            found = found.with(field, self.noted(expression, expression.data(context)).flatten());
        }
        found.with("task", place.item.map(|(_, name)| name).filter(|name| !name.is_empty()))
    }

    /// What its Pods know of a failure, or of a loss that the object survived.
    fn with_loss(&self, found: Detected, rule: &Rule) -> Detected {
        let pods = self.below.pods;
        if !(rule.is_final && rule.transition == Transition::Failed) {
            return below::with_loss(found, pods);
        }
        match pod::latest_loss(pods).or_else(|| pod::latest_restart(pods)) {
            Some(loss) => loss.tell(found),
            None => found,
        }
    }

    fn truth(&mut self, expression: &Expression, context: &Context<'_, '_>) -> bool {
        self.noted(expression, expression.truth(context)).unwrap_or(false)
    }

    /// The value; a failure is noted.
    fn noted<T>(&mut self, expression: &Expression, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.problems.push(Problem { place: expression.place.clone(), message });
                None
            }
        }
    }
}

/// Whether a status has the shape that every status has. From one that has not, nothing can be concluded: that a
/// condition is not in it does not show that it does not hold.
pub(super) fn is_readable(status: &Json) -> bool {
    match status {
        Json::Null => true,
        Json::Object(fields) => match fields.get("conditions") {
            None | Some(Json::Null) => true,
            Some(Json::Array(conditions)) => conditions.iter().all(Json::is_object),
            Some(_) => false,
        },
        _ => false,
    }
}

fn context<'v>(scope: &'v Scope<'_>) -> Context<'v, 'v> {
    let mut context = Context::with_env(ENVIRONMENT.clone());
    context.set_variable_resolver(scope);
    context
}
