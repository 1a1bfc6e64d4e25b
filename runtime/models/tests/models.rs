//! Each model under all interleavings with a few preemptions; more than that has not shown anything that these do not.
//!
//! `LOOM_LOG=1` shows what happens; a failure says after how many interleavings it came.

use greenroom_models::{counts, drain};

/// Threads may be stopped in the middle of their work so often, beside waiting.
const PREEMPTIONS: usize = 3;

fn explore(model: fn()) {
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = Some(PREEMPTIONS);
    loom.check(model);
}

#[test]
fn a_drain_waits_for_turns_that_do_not_see_it() {
    explore(drain::a_drain_waits_for_turns_that_do_not_see_it);
}

#[test]
fn what_ended_threads_have_counted_is_in_the_sum() {
    explore(counts::what_ended_threads_have_counted_is_in_the_sum);
}
