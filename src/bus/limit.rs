//! How many events a workspace may publish a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What may come at once, in seconds' worth.
const BURST: u32 = 4;

/// A bucket per key. A bucket may go into debt, so that a batch larger than a burst is taken as a whole, and those who
/// sent it wait for longer.
#[derive(Debug)]
pub struct Limiter {
    /// Events a second; 0 is no limit.
    rate: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    /// So many a second, four times as many at once; 0 is no limit.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes so many, unless there is a debt; of none, it only looks.
    ///
    /// # Errors
    /// How long to wait until the debt is paid.
    pub fn take(&self, key: &str, count: u32, now: Instant) -> Result<(), Duration> {
        if self.rate == 0 {
            return Ok(());
        }
        let (rate, full) = (f64::from(self.rate), f64::from(self.rate.saturating_mul(BURST)));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket { tokens: full, at: now });
        bucket.tokens = (bucket.tokens + now.duration_since(bucket.at).as_secs_f64() * rate).min(full);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / rate));
        }
        bucket.tokens -= f64::from(count);
        Ok(())
    }

    /// Forgets workspaces that are not there any more.
    pub fn keep_only(&self, known: impl Fn(&str) -> bool) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| known(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_then_as_many_as_the_rate_lets_through() {
        let (limiter, start) = (Limiter::new(50), Instant::now());
        let taken = (0..300).filter(|_| limiter.take("vision", 1, start).is_ok()).count();
        assert_eq!(taken, 200);
        assert!(limiter.take("speech", 1, start).is_ok(), "each has its own");
        let later = start + Duration::from_secs(1);
        let taken = (0..300).filter(|_| limiter.take("vision", 1, later).is_ok()).count();
        assert_eq!(taken, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_batch_is_taken_and_paid_for_by_waiting() {
        let (limiter, start) = (Limiter::new(50), Instant::now());
        assert_eq!(limiter.take("vision", 1000, start), Ok(()));
        let wait = limiter.take("vision", 1, start).unwrap_err();
        assert!((16..=17).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(limiter.take("vision", 1, start + wait + Duration::from_millis(1)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn nought_is_no_limit() {
        let limiter = Limiter::new(0);
        assert!((0..100_000).all(|_| limiter.take("vision", 1000, Instant::now()).is_ok()));
    }
}
