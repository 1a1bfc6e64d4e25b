//! Each model under all interleavings with a few preemptions; more than that has not shown anything that these do not.
//!
//! `LOOM_LOG=1` shows what happens; a failure says after how many interleavings it came.

use greenroom_models::{actor, counts, directory, drain};

/// Threads may be stopped in the middle of their work so often, beside waiting.
const PREEMPTIONS: usize = 3;

fn explore(model: fn()) {
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = Some(PREEMPTIONS);
    loom.check(model);
}

#[test]
fn who_gives_back_runs_those_who_wait() {
    explore(actor::who_gives_back_runs_those_who_wait);
}

#[test]
fn one_of_the_first_callers_loads_the_state() {
    explore(actor::one_of_the_first_callers_loads_the_state);
}

#[test]
fn a_waiter_that_leaves_passes_its_turn_on() {
    explore(actor::a_waiter_that_leaves_passes_its_turn_on);
}

#[test]
fn a_look_takes_the_state_from_nobody() {
    explore(actor::a_look_takes_the_state_from_nobody);
}

#[test]
fn a_writer_has_the_actor_for_itself() {
    explore(actor::a_writer_has_the_actor_for_itself);
}

#[test]
fn a_turn_that_loses_the_state_gives_the_actor_back() {
    explore(actor::a_turn_that_loses_the_state_gives_the_actor_back);
}

#[test]
fn an_activation_that_leaves_loses_no_call() {
    explore(directory::an_activation_that_leaves_loses_no_call);
}

#[test]
fn an_actor_that_retires_serves_those_who_wait() {
    explore(directory::an_actor_that_retires_serves_those_who_wait);
}

#[test]
fn a_drain_waits_for_turns_that_do_not_see_it() {
    explore(drain::a_drain_waits_for_turns_that_do_not_see_it);
}

#[test]
fn what_ended_threads_have_counted_is_in_the_sum() {
    explore(counts::what_ended_threads_have_counted_is_in_the_sum);
}
