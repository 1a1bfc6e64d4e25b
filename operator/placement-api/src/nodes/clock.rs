//! The clock of this process among the clocks of the nodes: a hybrid logical clock, which never goes back and is never
//! behind a stamp that it was told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Microseconds since 1970, growing.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// A stamp later than all before.
    pub fn stamp(&self) -> u64 {
        let physical = physical();
        let advance = |last: u64| Some(physical.max(last + 1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        advance(last.unwrap_or_default()).unwrap_or_default()
    }

    /// Moves up to a stamp that somebody else gave.
    pub fn observe(&self, stamp: u64) {
        self.0.fetch_max(stamp, Ordering::Relaxed);
    }
}

/// The time of day in microseconds since 1970.
pub fn physical() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_grows_and_is_never_behind_what_it_was_told() {
        let clock = Clock::default();
        let first = clock.stamp();
        assert!(clock.stamp() > first);
        let ahead = first + 3_600_000_000;
        clock.observe(ahead);
        assert_eq!(clock.stamp(), ahead + 1);
        clock.observe(first);
        assert_eq!(clock.stamp(), ahead + 2);
    }
}
