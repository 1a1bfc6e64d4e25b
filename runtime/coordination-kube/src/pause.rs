//! How long a broken watch waits before the next attempt: exponential with full jitter.
//!
//! Longer than the pauses between calls: after an outage every node comes back with a watch per page, and the API server
//! is to survive that.

use std::time::Duration;

use greenroom_core::env::SharedEnv;

/// The first pause is at most this long.
const FIRST: Duration = Duration::from_millis(100);
/// No pause is longer than this.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses of one watch.
pub(crate) struct Pauses {
    env: SharedEnv,
    attempts: u32,
}

impl Pauses {
    pub(crate) fn new(env: SharedEnv) -> Self {
        Self { env, attempts: 0 }
    }

    /// Waits before the next attempt.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(length(self.attempts, self.env.random() as u64)).await;
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The last attempt was a success.
    pub(crate) fn begin_again(&mut self) {
        self.attempts = 0;
    }
}

/// Between half the first pause and the ceiling of this attempt; `random` is uniform over all `u64`.
fn length(attempts: u32, random: u64) -> Duration {
    let ceiling = FIRST.saturating_mul(1 << attempts.min(16)).min(LONGEST);
    let share = random as f64 / u64::MAX as f64;
    FIRST / 2 + (ceiling - FIRST / 2).mul_f64(share)
}

/// The same pauses for kube's watcher.
impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = length(self.attempts, self.env.random() as u64);
        self.attempts = self.attempts.saturating_add(1);
        Some(pause)
    }
}

impl kube::runtime::utils::Backoff for Pauses {
    fn reset(&mut self) {
        self.begin_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        assert_eq!((length(0, 0), length(0, u64::MAX)), (FIRST / 2, FIRST));
        assert_eq!((length(3, 0), length(3, u64::MAX)), (FIRST / 2, FIRST * 8));
        assert_eq!(length(u32::MAX, u64::MAX), LONGEST);
    }
}
