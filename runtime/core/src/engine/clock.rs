//! A hybrid logical clock: stamps that are close to the calendar time, and yet in the order of cause and effect.
//!
//! The algorithm is that of Kulkarni et al., "Logical Physical Clocks" (2014), with both parts in one number: microseconds
//! since 1970, and where several stamps fall into one microsecond, or the calendar goes back, one more than the last.
//!
//! **Invariants**: each stamp is greater than all before it, and greater than every stamp that the clock was told.

/// A moment of a hybrid logical clock: microseconds since 1970. 0 is before everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// The clock of one node.
#[derive(Debug, Default)]
pub(super) struct HybridClock {
    last: Stamp,
}

impl HybridClock {
    /// The next stamp. `now` is the calendar time in microseconds since 1970.
    pub(super) fn next(&mut self, now: u64) -> Stamp {
        self.last = Stamp(now.max(self.last.0.saturating_add(1)));
        self.last
    }

    /// What comes next is later than this stamp, which came from elsewhere.
    pub(super) fn observe(&mut self, told: Stamp) {
        self.last = self.last.max(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_follow_the_calendar_and_never_go_back_with_it() {
        let mut clock = HybridClock::default();
        let stamps: Vec<_> = [100, 100, 250, 90, 91, 300].map(|now| clock.next(now).0).into();
        assert_eq!(stamps, [100, 101, 250, 251, 252, 300]);
    }

    #[test]
    fn a_stamp_is_later_than_what_the_clock_was_told() {
        let mut clock = HybridClock::default();
        clock.observe(Stamp(500));
        assert_eq!(clock.next(100), Stamp(501));
        clock.observe(Stamp(7));
        assert_eq!(clock.next(100), Stamp(502));
    }
}
