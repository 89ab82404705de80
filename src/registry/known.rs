//! What is known of a registry, and what of an answer is news. Pure.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::version::{Finding, Version};
use crate::bus::mapping::{Origin, Published};
use crate::controller::Polled;
use crate::lifecycle::Source;
use crate::watch::Observation;

/// What a registry's last answers proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// When it was last asked.
    pub asked: Timestamp,
    /// Ids of versions and findings that the last answer had.
    pub last: HashSet<u64>,
    /// Those of the answer before it. What is missing once may have moved from page to page while they were read.
    pub before: HashSet<u64>,
}

impl Known {
    /// What the first answer proved.
    #[must_use]
    pub fn first(asked: Timestamp, last: HashSet<u64>) -> Self {
        Self { asked, last, before: HashSet::new() }
    }

    /// Whether one of the last two answers had it.
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        self.last.contains(&id) || self.before.contains(&id)
    }

    /// Everything that is known.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.last.union(&self.before).copied()
    }

    /// Whether both know the same.
    #[must_use]
    pub fn knows_as(&self, other: &Self) -> bool {
        self.ids().all(|id| other.has(id)) && other.ids().all(|id| self.has(id))
    }

    /// After one more answer.
    #[must_use]
    pub fn then(self, asked: Timestamp, last: HashSet<u64>) -> Self {
        Self { asked, before: self.last, last }
    }
}

/// A look at a registry.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The workspace's namespace.
    pub namespace: &'a str,
    /// When the registry was asked.
    pub now: Timestamp,
    /// Oldest event that may still be told.
    pub lookback: SignedDuration,
}

/// What is news in an answer, in the order of the versions' registration; and everything that it proves.
#[must_use]
pub fn news(
    versions: &[Version],
    polled: &Polled,
    known: Option<&Known>,
    look: &Look<'_>,
) -> (Vec<Published>, HashSet<u64>) {
    let (mut found, mut all) = (Vec::new(), HashSet::new());
    let mut sorted: Vec<&Version> = versions.iter().collect();
    sorted.sort_by_key(|version| version.created);
    for version in sorted {
        let id = version.id(polled.registry);
        if !all.insert(id) {
            // It has moved from one page to the next while they were read.
            continue;
        }
        for finding in version.findings(polled) {
            all.insert(finding.id);
            let since = match known {
                Some(known) if known.has(finding.id) => continue,
                Some(known) if known.has(id) => Some(known.asked),
                _ => None,
            };
            if let Some(times) = times(version, since, look) {
                found.push(published(version, finding, times, polled, look));
            }
        }
    }
    (found, all)
}

/// When a finding became true.
#[derive(Clone, Copy)]
struct Times {
    /// As far as the registry says.
    told: Option<Timestamp>,
    /// A time that it cannot have been before.
    effective: Timestamp,
}

/// When a finding became true; `None` if that may have been before anything that may be told. `since`: when the version was
/// known without it.
fn times(version: &Version, since: Option<Timestamp>, look: &Look<'_>) -> Option<Times> {
    let Some(since) = since else {
        // Seen for the first time: all that is certain is that it is no older than the version.
        let created = version.created?.min(look.now);
        let oldest = look.now.checked_sub(look.lookback).unwrap_or(Timestamp::MIN);
        return (created >= oldest).then_some(Times { told: version.updated.or(version.created), effective: created });
    };
    // It became true since then, however wrong the registry's clock.
    let told = version.updated.filter(|updated| *updated > since);
    Some(Times { told, effective: told.map_or(look.now, |told| told.min(look.now)) })
}

fn published(version: &Version, finding: Finding, times: Times, polled: &Polled, look: &Look<'_>) -> Published {
    let Finding { mut detected, .. } = finding;
    let origin = Origin { source: polled.registry.as_str().to_owned(), id: detected.occurrence.clone() };
    detected.time = times.told;
    let observation = Observation {
        place: None,
        subject: version.subject(polled.registry, look.namespace),
        source: Source::Model,
        detected,
        observed: look.now,
        effective: times.effective,
    };
    Published { observation, origin }
}

#[cfg(test)]
mod tests;
