//! Tasks: the only place that spawns.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns, and knows what runs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    failed: CancellationToken,
    stop: CancellationToken,
}

impl Tasks {
    /// Tasks of a program that is asked to stop by `stop`.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, ..Self::default() }
    }

    /// Runs a future as a task that is cut off when the program is asked to stop, as a watch is.
    pub fn background(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            let _ = stop.run_until_cancelled(future).await;
        });
    }

    /// Runs a future as a task. If it panics, the whole program has failed: half a program loses messages silently.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let failed = self.failed.clone();
        let watched = async move {
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                tracing::error!(
                    task = name,
                    "a task has panicked; the program ends, and its successor goes on where it was"
                );
                failed.cancel();
            }
        };
        self.tracker.spawn(watched);
    }

    /// Resolves when a task has panicked.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Waits until every task has ended, but not for longer than `grace`; whether they have.
    pub async fn ended_within(&self, grace: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_task_is_noticed() {
        let tasks = Tasks::default();
        tasks.spawn("well", async {});
        tasks.spawn("broken", async { panic!("on purpose") });
        tokio::time::timeout(Duration::from_secs(5), tasks.failed()).await.unwrap();
        assert!(tasks.ended_within(Duration::from_secs(5)).await);
    }
}
