//! What a step of the run may come to.

use std::process::Command;

use anyhow::{Context, Result};

use super::libtest::Counts;

/// How a step ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Passed,
    /// With what went wrong, if the output above does not say it.
    Failed(String),
    /// With the reason, and what to do about it.
    Skipped(String),
}

/// A finished step: its outcome, and what it adds to the sum at the end.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) outcome: Outcome,
    pub(super) counts: Counts,
}

impl Step {
    /// Runs cargo with these arguments.
    pub(super) fn command(arguments: &[&str]) -> Result<Self> {
        Self::of(super::cargo().args(arguments))
    }

    /// Runs this command.
    pub(super) fn of(command: &mut Command) -> Result<Self> {
        super::announce(command);
        let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let outcome = if status.success() { Outcome::Passed } else { Outcome::Failed(status.to_string()) };
        Ok(outcome.into())
    }
}

/// A step that is not a run of libtest counts as one test.
impl From<Outcome> for Step {
    fn from(outcome: Outcome) -> Self {
        let mut counts = Counts::default();
        match outcome {
            Outcome::Passed => counts.passed = 1,
            Outcome::Failed(_) => counts.failed = 1,
            Outcome::Skipped(_) => counts.skipped = 1,
        }
        Self { outcome, counts }
    }
}
