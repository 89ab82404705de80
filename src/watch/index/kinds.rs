//! Which kinds are watched, and how far each of them is.

use std::collections::{HashMap, HashSet};

use super::super::observation::Kind;
use crate::detect::declared;
use crate::detect::meta::Owner;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// Names of the declared kinds, watched or not, by their kind.
    names: HashMap<Box<str>, Vec<Name>>,
    states: HashMap<Kind, State>,
}

#[derive(Debug)]
struct Name {
    group: Box<str>,
    watched: Option<Kind>,
}

#[derive(Debug, Default)]
struct State {
    declared: Option<declared::Kind>,
    listed: bool,
    failing: bool,
    list: Option<Listing>,
}

/// A list that is being read.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) since: Option<u64>,
    pub(super) uids: HashSet<Box<str>>,
}

impl Kinds {
    /// A declared kind that may be watched some day.
    pub(super) fn add(&mut self, kind: &declared::Kind) {
        let names = self.names.entry(kind.kind().into()).or_default();
        if !names.iter().any(|name| &*name.group == kind.group()) {
            names.push(Name { group: kind.group().into(), watched: None });
        }
    }

    pub(super) fn start(&mut self, name: &Kind, kind: declared::Kind) {
        self.add(&kind);
        if let Some(known) = self.name_of(kind.group(), kind.kind()) {
            known.watched = Some(name.clone());
        }
        self.states.insert(name.clone(), State { declared: Some(kind), ..State::default() });
    }

    pub(super) fn stop(&mut self, name: &Kind) {
        let Some(State { declared: Some(kind), .. }) = self.states.remove(name) else { return };
        if let Some(known) = self.name_of(kind.group(), kind.kind()) {
            known.watched = None;
        }
    }

    fn name_of(&mut self, group: &str, kind: &str) -> Option<&mut Name> {
        self.names.get_mut(kind)?.iter_mut().find(|name| &*name.group == group)
    }

    /// The declared kind of this name, as long as it is watched.
    pub(super) fn declared(&self, name: &Kind) -> Option<&declared::Kind> {
        self.states.get(name)?.declared.as_ref()
    }

    pub(super) fn list_started(&mut self, name: &Kind, since: Option<u64>) {
        self.states.entry(name.clone()).or_default().list = Some(Listing { since, uids: HashSet::new() });
    }

    pub(super) fn list(&mut self, name: &Kind) -> Option<&mut Listing> {
        self.states.get_mut(name)?.list.as_mut()
    }

    pub(super) fn list_ended(&mut self, name: &Kind) -> Option<Listing> {
        let state = self.states.get_mut(name)?;
        let list = state.list.take()?;
        state.listed = true;
        Some(list)
    }

    pub(super) fn failing(&mut self, name: &Kind, failing: bool) {
        if let Some(state) = self.states.get_mut(name) {
            state.failing = failing;
        }
    }

    /// Whether all of its objects are known, and those that come will be.
    pub(super) fn is_complete(&self, name: &Kind) -> bool {
        self.states.get(name).is_some_and(|state| state.listed && !state.failing)
    }

    /// Whether nobody knows when its objects will be known.
    pub(super) fn is_hopeless(&self, name: &Kind) -> bool {
        self.states.get(name).is_some_and(|state| state.failing && !state.listed)
    }

    pub(super) fn is_listed(&self, name: &Kind) -> bool {
        self.states.get(name).is_some_and(|state| state.listed)
    }

    /// The kind of an owner, if it is watched.
    pub(super) fn of_owner(&self, owner: &Owner) -> Option<Kind> {
        let group = group(owner);
        match (group, &*owner.kind) {
            ("batch", "Job") => return Some(Kind::Job),
            ("", "Pod") => return Some(Kind::Pod),
            _ => {}
        }
        self.names.get(&owner.kind)?.iter().find(|name| &*name.group == group)?.watched.clone()
    }

    /// Whether an owner is of a kind that may be watched: then its Pods are of interest.
    pub(super) fn may_own_pods(&self, owner: &Owner) -> bool {
        let group = group(owner);
        (group, &*owner.kind) == ("batch", "Job")
            || self.names.get(&owner.kind).is_some_and(|names| names.iter().any(|name| &*name.group == group))
    }
}

fn group(owner: &Owner) -> &str {
    owner.api_version.rsplit_once('/').map_or("", |(group, _)| group)
}
