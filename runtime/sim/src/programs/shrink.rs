//! Makes a failing program small: parts are left out, many at once and then one by one, as long as it still fails.

use std::collections::BTreeSet;
use std::fmt;

use greenroom_testing::Mutation;

use super::scenario::{program, simulate};
use super::script::PartId;
use crate::report::{Counts, Report};

/// How many programs are tried.
const TRIES: usize = 400;

/// A program that fails, and what it comes to.
pub struct Shrunk {
    /// The parts that are left out.
    pub without: BTreeSet<PartId>,
    /// The program without them, for reading.
    pub program: String,
    /// What it comes to.
    pub report: Report<Counts>,
}

/// Leaves out of this failing seed's program what is not needed to fail in the same way.
pub fn shrink(seed: u64, mutation: Option<Mutation>) -> Option<Shrunk> {
    let mut without = BTreeSet::new();
    let mut report = simulate(seed, mutation, &without);
    let invariant = report.violation.as_ref()?.invariant;
    let (mut tries, mut size) = (0, usize::MAX);
    while tries < TRIES && size > 0 {
        let parts = program(seed).without(&without).parts();
        size = size.min(parts.len().div_ceil(2));
        let mut has_shrunk = false;
        for chunk in parts.chunks(size.max(1)) {
            let less: BTreeSet<_> = without.iter().chain(chunk).copied().collect();
            tries += 1;
            let tried = simulate(seed, mutation, &less);
            if tried.violation.as_ref().is_some_and(|violation| violation.invariant == invariant) {
                (without, report, has_shrunk) = (less, tried, true);
            }
            if tries >= TRIES {
                break;
            }
        }
        size = match (has_shrunk, size) {
            (true, size) => size,
            (false, 1) => 0,
            (false, size) => size / 2,
        };
    }
    let program = program(seed).without(&without).to_string();
    Some(Shrunk { without, program, report })
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.report.seed;
        writeln!(f, "what is needed of its program:\n{}", self.program)?;
        writeln!(
            f,
            "it then violates {}",
            self.report.violation.as_ref().map(ToString::to_string).unwrap_or_default()
        )?;
        write!(f, "replay: cargo xtask sim --programs --seed {seed} --trace")?;
        if self.without.is_empty() {
            return Ok(());
        }
        let without: Vec<_> = self.without.iter().map(ToString::to_string).collect();
        write!(
            f,
            "\nor only what is needed: cargo xtask sim --programs --seed {seed} --trace --without {}",
            without.join(",")
        )
    }
}
