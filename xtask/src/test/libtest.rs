//! Runs the tests of the workspace, shows what they print and adds up their results.
//!
//! Every test binary ends with a line `test result: ok. 4 passed; 0 failed; 1 ignored; …`; those lines are what
//! is counted. A binary that dies, or does not compile, prints none, but cargo's exit code tells.

use std::io::{BufRead, BufReader, Write};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::binaries;
use super::step::{Outcome, Step};

/// How many tests passed, failed, were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

/// Runs the tests that match one of `filters` (all, if there is none), with or without the slow ones. `rigs` lets them
/// install packages and change the machine's network.
pub(super) fn run(filters: &[String], slow: bool, rigs: bool) -> Result<Step> {
    let mut arguments = filters.to_vec();
    arguments.extend(slow.then(|| "--include-ignored".into()));
    arguments.extend(super::colours().then(|| "--color=always".into()));
    let (mut tally, mut success) = binaries::run(binaries::build()?, &arguments, rigs, std::io::stdout())?;
    let mut examples = super::cargo();
    examples.args(["test", "--workspace", "--no-fail-fast", "--doc", "--"]).args(&arguments);
    success &= follow(&mut examples, &mut tally)?;
    Ok(tally.finish(success, filters))
}

/// Runs a program that prints its results as libtest does, and adds them up.
pub(super) fn watch(command: &mut Command, filters: &[String]) -> Result<Step> {
    let mut tally = Tally::default();
    let success = follow(command, &mut tally)?;
    Ok(tally.finish(success, filters))
}

/// Shows what a program prints as it comes, and adds up the results in it. Whether the program succeeded.
fn follow(command: &mut Command, tally: &mut Tally) -> Result<bool> {
    super::announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let output = child.stdout.take().expect("its output is piped");
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        tally.read(&String::from_utf8_lossy(&line));
        let mut screen = std::io::stdout().lock();
        screen.write_all(&line)?;
        screen.write_all(b"\n")?;
    }
    Ok(child.wait()?.success())
}

/// What the output said so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    failed_tests: Vec<String>,
}

impl Tally {
    pub(super) fn read(&mut self, line: &str) {
        if let Some(counts) = Counts::parse(line) {
            self.counts += counts;
        } else if let Some((name, result)) =
            line.strip_prefix("test ").and_then(|test| test.rsplit_once(" ... "))
            && result.contains("FAILED")
        {
            self.failed_tests.push(name.to_owned());
        }
    }

    fn finish(mut self, success: bool, filters: &[String]) -> Step {
        let outcome = if !success {
            // A failure without a failed test: something did not compile, or a test ended its process.
            if self.counts.failed == 0 {
                self.counts.failed = 1;
                Outcome::Failed("a test binary did not come to its end, see above".into())
            } else {
                Outcome::Failed(self.failed_tests.join(", "))
            }
        } else if self.counts == Counts::default() {
            self.counts.failed = 1;
            Outcome::Failed(format!("no test matches {}", filters.join(" or ")))
        } else if self.counts.skipped > 0 {
            Outcome::Skipped(format!("{} tests marked `ignore`, left out by --fast", self.counts.skipped))
        } else {
            Outcome::Passed
        };
        Step { outcome, counts: self.counts }
    }
}

impl Counts {
    /// Reads a result line of libtest.
    fn parse(line: &str) -> Option<Self> {
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |what: &str| -> Option<u64> {
            numbers.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
        };
        Some(Self { passed: number("passed")?, failed: number("failed")?, skipped: number("ignored")? })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str, success: bool) -> Step {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        tally.finish(success, &[])
    }

    const FIRST: &str = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";

    #[test]
    fn results_of_several_binaries_are_added_up() {
        let colours = "test result: \u{1b}[32mok\u{1b}[m. 4 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        let step = tally(&format!("{FIRST}{colours}"), true);
        assert_eq!(step.counts, Counts { passed: 7, failed: 0, skipped: 0 });
        assert_eq!(step.outcome, Outcome::Passed);
    }

    #[test]
    fn failed_tests_are_named() {
        let output = "test a::b ... FAILED\ntest result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured";
        let step = tally(output, false);
        assert_eq!(step.counts.failed, 1);
        assert_eq!(step.outcome, Outcome::Failed("a::b".into()));
    }

    #[test]
    fn a_binary_that_dies_is_a_failure_though_no_test_failed() {
        let step = tally(FIRST, false);
        assert_eq!(step.counts, Counts { passed: 3, failed: 1, skipped: 0 });
        assert!(matches!(step.outcome, Outcome::Failed(_)));
    }

    #[test]
    fn a_run_without_any_test_is_a_failure() {
        assert_eq!(tally("", true).counts.failed, 1);
    }

    #[test]
    fn ignored_tests_make_a_skipped_step() {
        let step = tally("test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured", true);
        assert_eq!(step.counts, Counts { passed: 1, failed: 0, skipped: 2 });
        assert!(matches!(step.outcome, Outcome::Skipped(_)));
    }
}
