//! The steps of a run, and the summary that it ends with: a table, every failure and skip with its reason, and
//! one line `N passed, N failed`.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::libtest::Counts;
use super::step::{Outcome, Step};

pub(super) struct Report {
    /// Under CI nothing may be skipped: a skip is a failure there.
    ci: bool,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    step: Step,
    took: Duration,
}

impl Report {
    pub(super) fn new(ci: bool) -> Self {
        Self { ci, rows: Vec::new() }
    }

    /// Runs a step, says so, and keeps the result. Returns whether the step may be built upon.
    pub(super) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<Step>) -> bool {
        println!("\n── {name} ──");
        let start = Instant::now();
        let step = step().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")).into());
        self.add(name, step, start.elapsed());
        !matches!(self.rows.last(), Some(Row { step: Step { outcome: Outcome::Failed(_), .. }, .. }))
    }

    fn add(&mut self, name: &'static str, mut step: Step, took: Duration) {
        if let Outcome::Skipped(reason) = &step.outcome {
            println!("SKIPPED: {reason}");
            if self.ci {
                step.outcome = Outcome::Failed(format!("{reason} (under CI nothing may be skipped)"));
                step.counts.failed += std::mem::take(&mut step.counts.skipped);
            }
        }
        self.rows.push(Row { name, step, took });
    }

    fn sum(&self) -> Counts {
        let mut sum = Counts::default();
        self.rows.iter().for_each(|row| sum += row.step.counts);
        sum
    }

    pub(super) fn succeeded(&self) -> bool {
        self.sum().failed == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<14}{:<10}{:>8}", "step", "result", "seconds")?;
        for Row { name, step, took } in &self.rows {
            let result = match &step.outcome {
                Outcome::Passed => "ok",
                Outcome::Failed(_) => "FAILED",
                Outcome::Skipped(_) => "skipped",
            };
            writeln!(f, "{name:<14}{result:<10}{:>8.1}", took.as_secs_f64())?;
        }
        writeln!(f)?;
        for Row { name, step, .. } in &self.rows {
            match &step.outcome {
                Outcome::Passed => {}
                Outcome::Failed(reason) => writeln!(f, "FAILED  {name}: {reason}")?,
                Outcome::Skipped(reason) => writeln!(f, "skipped {name}: {reason}")?,
            }
        }
        let Counts { passed, failed, skipped } = self.sum();
        write!(f, "{passed} passed, {failed} failed")?;
        if skipped > 0 {
            write!(f, ", {skipped} skipped")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ci: bool) -> Report {
        let mut report = Report::new(ci);
        report.add("format", Outcome::Passed.into(), Duration::from_millis(1250));
        report.add("clippy", Outcome::Skipped("not there".into()).into(), Duration::ZERO);
        let counts = Counts { passed: 40, failed: 0, skipped: 0 };
        report.add("tests", Step { outcome: Outcome::Passed, counts }, Duration::from_secs(9));
        report
    }

    #[test]
    fn the_summary_has_a_table_the_skips_and_one_line_of_sums() {
        let report = report(false);
        assert!(report.succeeded());
        let expected = "
step          result     seconds
format        ok             1.2
clippy        skipped        0.0
tests         ok             9.0

skipped clippy: not there
41 passed, 0 failed, 1 skipped
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn under_ci_a_skip_is_a_failure() {
        let report = report(true);
        assert!(!report.succeeded());
        assert!(report.to_string().ends_with("41 passed, 1 failed\n"));
    }

    #[test]
    fn a_step_that_cannot_start_is_a_failure_with_its_error() {
        let mut report = Report::new(false);
        assert!(!report.run("build", || anyhow::bail!("no cargo")));
        assert!(report.to_string().contains("FAILED  build: no cargo"));
    }
}
