//! Which seeds a test runs, and what it says about the one that failed.

use std::ops::Range;

/// Runs this seed only: how a failure is replayed.
const SEED: &str = "GREENROOM_SEED";
/// Runs so many seeds, whatever the test says: to look longer.
const SEEDS: &str = "GREENROOM_SEEDS";

/// The seeds to run. The environment comes before what the test says.
pub(super) fn chosen(of_test: Range<u64>) -> Range<u64> {
    choose(of_test, number(SEED), number(SEEDS))
}

fn choose(of_test: Range<u64>, seed: Option<u64>, seeds: Option<u64>) -> Range<u64> {
    match (seed, seeds) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, Some(seeds)) => of_test.start..of_test.start.saturating_add(seeds),
        (None, None) => of_test,
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; give it a whole number")))
}

/// How to run a failed seed again. The test harness names the thread of a test after the test.
pub(super) fn replay(seed: u64) -> String {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or("THIS_TEST");
    format!("seed {seed} failed; replay it: {SEED}={seed} cargo test {test}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_comes_before_what_the_test_says() {
        assert_eq!(choose(5..8, None, None), 5..8);
        assert_eq!(choose(5..8, None, Some(100)), 5..105);
        assert_eq!(choose(5..8, Some(42), Some(100)), 42..43);
    }

    #[test]
    fn the_replay_line_names_the_test() {
        assert!(
            replay(7).ends_with(
                "GREENROOM_SEED=7 cargo test testing::seeds::tests::the_replay_line_names_the_test"
            )
        );
    }
}
