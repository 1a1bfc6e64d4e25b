//! What a node does when its memory gets scarce.
//!
//! Above the *soft* limit those actors leave that have been idle for longest; above the *hard* limit calls that would
//! bring another actor into memory are refused, too. What the process takes says little about what its actors take:
//! memory that actors have left is used again, but hardly ever goes back to the system, so the figure does not fall.
//! Therefore pressure is turned into a **ceiling** of how many actors may be in memory:
//!
//! - Each time the process has grown above the soft limit, the ceiling is set to seven eighths of what it
//!   was, or of the actors there are if there was none.
//! - While it does not grow further, the ceiling stays: more than that leave again.
//! - Below the soft limit there is no ceiling.
//!
//! **Property**: while memory grows above the soft limit, every reading lets an eighth of the actors go; while it does
//! not grow, no actor leaves that is not replaced by another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Core;
use crate::error::CallError;
use crate::identity::ActorId;

/// How much memory a node may take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Above this, idle actors leave.
    pub soft: u64,
    /// Above this, no more actors come into memory.
    pub hard: u64,
}

/// What follows from one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Measures {
    /// So many actors are to leave.
    shed: usize,
    /// So many may come until the next reading; `None`: as many as want to.
    room: Option<usize>,
}

/// The ceiling and how it came to be.
#[derive(Debug, Default)]
struct Pressure {
    ceiling: Option<usize>,
    /// The process took so much when the ceiling was set.
    mark: u64,
}

impl Pressure {
    fn observe(&mut self, limits: MemoryLimits, used: u64, actors: usize) -> Measures {
        if used <= limits.soft {
            *self = Self::default();
            return Measures { shed: 0, room: None };
        }
        // What comes and goes from one reading to the next is no growth.
        let noise = limits.soft / 64;
        let ceiling = match self.ceiling {
            Some(ceiling) if used <= self.mark.saturating_add(noise) => ceiling,
            _ => {
                self.mark = used;
                // Who came since the last reading leaves again, too: a ceiling never rises under pressure.
                let before = self.ceiling.unwrap_or(actors).min(actors);
                before - before.div_ceil(8)
            }
        };
        self.ceiling = Some(ceiling);
        let room = (used > limits.hard).then(|| ceiling.saturating_sub(actors));
        Measures { shed: actors.saturating_sub(ceiling), room }
    }
}

/// What the engine knows about the node's memory. Without readings nobody leaves and nobody is refused.
pub(super) struct Memory {
    pressure: Mutex<Pressure>,
    /// How many more actors may come; looked at only when one does.
    room: AtomicI64,
    refused: AtomicU64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { pressure: Mutex::default(), room: AtomicI64::new(i64::MAX), refused: AtomicU64::new(0) }
    }
}

impl Memory {
    /// Whether one more actor may come; it then counts.
    pub(super) fn admits(&self) -> bool {
        self.room.load(Ordering::Relaxed) == i64::MAX || self.room.fetch_sub(1, Ordering::Relaxed) > 0
    }
}

impl Core {
    /// Tells the engine how much memory the process takes, about once a second; idle actors leave if that is too much.
    pub fn observe_memory(self: &Arc<Self>, used: u64, limits: MemoryLimits) {
        let actors = self.directory.len();
        let measures = self.memory.pressure.lock().observe(limits, used, actors);
        let room = measures.room.and_then(|room| i64::try_from(room).ok());
        self.memory.room.store(room.unwrap_or(i64::MAX), Ordering::Relaxed);
        if measures.shed > 0 {
            let left = self.shed(measures.shed);
            tracing::debug!(used, soft = limits.soft, actors, left, "memory is scarce: idle actors leave");
        }
    }

    /// How many calls were refused because there was no memory for another actor.
    pub fn refused_for_memory(&self) -> u64 {
        self.memory.refused.load(Ordering::Relaxed)
    }

    /// Why there is no activation, if it is for want of memory.
    pub(super) fn no_memory<E>(&self, target: &ActorId) -> Option<CallError<E>> {
        if self.memory.room.load(Ordering::Relaxed) > 0 || self.directory.pin().get(target).is_some() {
            return None;
        }
        self.memory.refused.fetch_add(1, Ordering::Relaxed);
        Some(CallError::Overloaded(format!(
            "the node's memory is full, so {target} cannot come into it; call again later, or raise --memory-hard"
        )))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: MemoryLimits = MemoryLimits { soft: 800, hard: 900 };

    #[test]
    fn an_eighth_leaves_while_memory_grows_and_nobody_while_it_does_not() {
        let mut pressure = Pressure::default();
        assert_eq!(pressure.observe(LIMITS, 800, 1000), Measures { shed: 0, room: None });
        assert_eq!(pressure.observe(LIMITS, 820, 1000), Measures { shed: 125, room: None });
        // The freed memory was not given back, which is no growth.
        assert_eq!(pressure.observe(LIMITS, 825, 875), Measures { shed: 0, room: None });
        assert_eq!(pressure.observe(LIMITS, 825, 900), Measures { shed: 25, room: None });
        assert_eq!(pressure.observe(LIMITS, 950, 880), Measures { shed: 115, room: Some(0) });
        assert_eq!(pressure.observe(LIMITS, 950, 760), Measures { shed: 0, room: Some(5) });
        assert_eq!(pressure.observe(LIMITS, 790, 770), Measures { shed: 0, room: None });
        assert_eq!(pressure.observe(LIMITS, 890, 800), Measures { shed: 100, room: None });
    }

    #[test]
    fn a_node_that_is_too_big_without_actors_takes_none() {
        let mut pressure = Pressure::default();
        assert_eq!(pressure.observe(LIMITS, 1000, 0), Measures { shed: 0, room: Some(0) });
    }

    proptest! {
        /// Whatever the readings are: below the soft limit nothing happens, above the hard one room and ceiling agree.
        #[test]
        fn measures_keep_to_the_limits(readings in proptest::collection::vec((0u64..1200, 0usize..5000), 1..50)) {
            let mut pressure = Pressure::default();
            for (used, actors) in readings {
                let measures = pressure.observe(LIMITS, used, actors);
                prop_assert!(measures.shed <= actors);
                prop_assert_eq!(measures.room.is_some(), used > LIMITS.hard);
                prop_assert!(used > LIMITS.soft || measures.shed == 0);
                prop_assert!(measures.shed == 0 || measures.room.is_none_or(|room| room == 0));
            }
        }
    }
}
