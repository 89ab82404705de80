//! Condition `SourcesHealthy`: whether everything that is installed is watched. The same on every Workspace. Pure.

use std::collections::BTreeMap;

use crate::api::condition::{Reason, SOURCES_HEALTHY, Verdict};
use crate::watch::Kind;
use crate::watch::sources::{Sources, State};

/// Kinds and files that a message names at most.
const MOST: usize = 10;

/// Judges how the watches go.
pub(super) fn judge(sources: &Sources) -> Verdict {
    let mut failing: BTreeMap<&'static str, Vec<&Kind>> = BTreeMap::new();
    for (kind, state) in &sources.kinds {
        if let State::Failing(reason) = state {
            failing.entry(reason).or_default().push(kind);
        }
    }
    let forbidden = failing.remove(FORBIDDEN).map(|kinds| {
        let kinds = list(&kinds);
        format!(
            "the operator may not list and watch {kinds}: let its ClusterRole do so, or leave them out by --ignore-kind"
        )
    });
    let others = failing.iter().map(|(reason, kinds)| {
        let kinds = list(kinds);
        format!("the watch of {kinds} fails ({reason}) and is tried again; see the operator's log")
    });
    let files = (!sources.catalog.is_empty()).then(|| {
        format!("files of the catalog cannot be used: {}; mend them and restart the operator", list(&sources.catalog))
    });
    let reason = match (&forbidden, failing.is_empty()) {
        (Some(_), _) => Reason::SourceForbidden,
        (None, false) => Reason::SourceFailing,
        (None, true) => Reason::InvalidCatalog,
    };
    let wrong: Vec<String> = forbidden.into_iter().chain(others).chain(files).collect();
    if !wrong.is_empty() {
        return Verdict::no(SOURCES_HEALTHY, reason, wrong.join(". "));
    }
    let listing: Vec<&Kind> =
        sources.kinds.iter().filter(|(_, state)| **state == State::Listing).map(|(kind, _)| kind).collect();
    if !listing.is_empty() || !sources.discovered {
        let what = if listing.is_empty() { "which kinds are installed".to_owned() } else { list(&listing) };
        return Verdict::unknown(SOURCES_HEALTHY, Reason::Listing, format!("the API server is being asked for {what}"));
    }
    Verdict::yes(SOURCES_HEALTHY, Reason::Watched, format!("watched are {}", list_all(sources)))
}

const FORBIDDEN: &str = "forbidden";

fn list_all(sources: &Sources) -> String {
    let kinds: Vec<&Kind> = sources.kinds.keys().collect();
    kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn list(all: &[impl ToString]) -> String {
    let named: Vec<String> = all.iter().take(MOST).map(ToString::to_string).collect();
    let more = all.len().saturating_sub(MOST);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{rest}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(kinds: &[(&str, State)], catalog: &[&str]) -> Sources {
        Sources {
            kinds: kinds.iter().map(|(name, state)| (Kind::named(name).unwrap(), *state)).collect(),
            discovered: true,
            catalog: catalog.iter().map(|&error| error.to_owned()).collect(),
        }
    }

    fn judged(kinds: &[(&str, State)], catalog: &[&str]) -> (Option<bool>, &'static str, String) {
        let Verdict { status, reason, message, .. } = judge(&sources(kinds, catalog));
        (status, reason.as_str(), message)
    }

    #[test]
    fn it_is_healthy_once_everything_that_is_installed_is_listed() {
        let (status, reason, message) = judged(&[("pods", State::Listed), ("a.x.io", State::Listed)], &[]);
        assert_eq!((status, reason), (Some(true), "Watched"));
        assert_eq!(message, "watched are pods, a.x.io");
        let (status, reason, _) = judged(&[("pods", State::Listed), ("a.x.io", State::Listing)], &[]);
        assert_eq!((status, reason), (None, "Listing"));
        let undiscovered = Sources { discovered: false, ..sources(&[("pods", State::Listed)], &[]) };
        assert_eq!(judge(&undiscovered).status, None);
    }

    #[test]
    fn kinds_and_files_that_fail_are_named_with_the_reason_and_what_to_do() {
        let kinds = [("a.x.io", State::Failing("forbidden")), ("b.x.io", State::Failing("deadline"))];
        let (status, reason, message) = judged(&kinds, &["mine.yaml:3: no"]);
        assert_eq!((status, reason), (Some(false), "SourceForbidden"));
        for part in ["a.x.io: let its ClusterRole", "b.x.io fails (deadline)", "mine.yaml:3: no; mend"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(judged(&kinds[1..], &[]).1, "SourceFailing");
        assert_eq!(judged(&[("pods", State::Listed)], &["mine.yaml:3: no"]).1, "InvalidCatalog");
    }
}
