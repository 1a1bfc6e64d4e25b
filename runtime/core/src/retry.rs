//! How long to wait before the same call is repeated: exponential with full jitter, within the caller's deadline.
//!
//! The algorithm is "full jitter" of the AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).

use std::time::Duration;

/// The first wait is at most this long.
const FIRST: Duration = Duration::from_millis(10);
/// No wait is longer than this.
const LONGEST: Duration = Duration::from_millis(500);

/// The waits between the attempts of one call.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next wait; `random` is uniform over all `u64`.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.attempts.min(16)).min(LONGEST);
        self.attempts += 1;
        let share = random as f64 / u64::MAX as f64;
        FIRST / 2 + ceiling.mul_f64(share)
    }

    /// How many waits there were.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}
