//! What cells tell about themselves. Counts only grow while a cell is in memory, so a rate is the difference of two
//! reports.

use serde::{Deserialize, Serialize};

use crate::Jitter;

/// What one cell, or many together, did since they came into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// How many cells tell this.
    pub cells: u64,
    /// How many birds are in them now; those on their way to another cell are in none.
    pub birds: u64,
    /// How often they ticked.
    pub ticks: u64,
    /// How many ticks they could not take in time.
    pub skipped: u64,
    /// How many birds have left for a neighbour.
    pub crossings: u64,
    /// How uneven their ticks were.
    pub jitter: Jitter,
}

impl Report {
    /// Takes in what other cells tell.
    pub fn and(mut self, other: &Self) -> Self {
        self.cells += other.cells;
        self.birds += other.birds;
        self.ticks += other.ticks;
        self.skipped += other.skipped;
        self.crossings += other.crossings;
        self.jitter.add(&other.jitter);
        self
    }

    /// What has happened since that report of the same cells. A cell that has lost its node meanwhile began anew.
    pub fn since(&self, then: &Self) -> Self {
        Self {
            ticks: self.ticks.saturating_sub(then.ticks),
            skipped: self.skipped.saturating_sub(then.skipped),
            crossings: self.crossings.saturating_sub(then.crossings),
            jitter: self.jitter.since(&then.jitter),
            ..*self
        }
    }
}
