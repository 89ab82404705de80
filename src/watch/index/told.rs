//! Which transitions were told, and how a new one becomes an observation.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::{SignedDuration, Timestamp};

use super::super::observation::{Kind, Observation, Place};
use super::super::stream::Freshness;
use crate::detect::Detected;
use crate::lifecycle::{Source, Subject, Transition};

/// How far the clock that wrote an event's time may be behind before a live event could be taken for an old one.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// Detectors mark a burst (many workers at once) by its minute; two marks closer than this are one burst.
const BURST: SignedDuration = SignedDuration::from_secs(60);

/// How an object's state became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// By a change.
    Changed(Freshness),
    /// By a list, with no checkpoint that vouches for what was before.
    Listed,
    /// By a list, and dealt with before.
    Baseline,
}

/// Circumstances of a look at an object.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    pub(super) revision: u64,
    pub(super) known: Known,
    pub(super) now: Timestamp,
}

impl Seen {
    fn effective(&self, time: Option<Timestamp>, created: Option<Timestamp>) -> Timestamp {
        let earliest_live = self.now.checked_sub(CLOCK_TOLERANCE).unwrap_or(Timestamp::MIN);
        match self.known {
            Known::Changed(Freshness::Live) => time.unwrap_or(self.now).max(earliest_live),
            Known::Changed(Freshness::Replayed) => time.unwrap_or(self.now),
            Known::Listed | Known::Baseline => time.or(created).unwrap_or(self.now),
        }
    }
}

/// Which transitions of one object were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    marks: Vec<u64>,
    bursts: Vec<(Transition, Timestamp)>,
}

impl Told {
    /// What is new of this becomes observations; all of it is remembered.
    pub(super) fn tell(
        &mut self,
        detected: Vec<Detected>,
        source: Source,
        created: Option<Timestamp>,
        subject: impl Fn() -> Subject,
        seen: &Seen,
    ) -> Vec<Observation> {
        detected
            .into_iter()
            .filter(|detected| self.first_time(detected) && seen.known != Known::Baseline)
            .map(|detected| Observation {
                place: Some(Place { kind: seen.kind.clone(), revision: seen.revision }),
                subject: subject(),
                source,
                effective: seen.effective(detected.time, created),
                detected,
                observed: seen.now,
            })
            .collect()
    }

    /// Whether this is new; remembers it.
    fn first_time(&mut self, detected: &Detected) -> bool {
        let mut hasher = DefaultHasher::new();
        (detected.transition, &detected.occurrence).hash(&mut hasher);
        let mark = hasher.finish();
        if self.marks.contains(&mark) {
            return false;
        }
        self.marks.push(mark);
        !self.continues_burst(detected)
    }

    fn continues_burst(&mut self, detected: &Detected) -> bool {
        let Some(time) = detected.time.filter(|_| detected.occurrence.contains('@')) else { return false };
        let known = self.bursts.iter_mut().find(|(transition, _)| *transition == detected.transition);
        let Some((_, last)) = known else {
            self.bursts.push((detected.transition, time));
            return false;
        };
        let continues = time.duration_since(*last).abs() < BURST;
        *last = time.max(*last);
        continues
    }
}
