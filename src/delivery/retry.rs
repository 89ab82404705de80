//! When to try again: exponential with jitter, from one second to five minutes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// First pause.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST: Duration = Duration::from_mins(5);

/// The pause after `failures` failures in a row (1 is the first), spread by up to a fifth either way. The spread comes
/// from `seed`, so that the same failure always gives the same pause and different ones do not come back together.
#[must_use]
pub fn pause(failures: u32, seed: impl std::hash::Hash) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let mut hasher = DefaultHasher::new();
    (failures, seed).hash(&mut hasher);
    // 800 to 1200 thousandths.
    let thousandths = 800 + u32::try_from(hasher.finish() % 401).unwrap_or(200);
    (whole * thousandths / 1000).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_from_one_second_to_five_minutes_with_a_spread() {
        for (failures, whole) in [(0, 1), (1, 1), (2, 2), (3, 4), (8, 128), (9, 256), (10, 300), (1000, 300)] {
            let whole = Duration::from_secs(whole);
            for seed in 0..50 {
                let pause = pause(failures, seed);
                assert!(pause >= whole * 8 / 10 && pause <= (whole * 12 / 10).min(LONGEST), "{failures}: {pause:?}");
            }
        }
        let spread: std::collections::HashSet<_> = (0..50).map(|seed| pause(3, seed)).collect();
        assert!(spread.len() > 10);
    }
}
