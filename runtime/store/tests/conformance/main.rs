//! What every engine behind the pipeline must do. One suite, run for each of them.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod chain;
mod commits;
mod keeping;
mod queue;
mod rows;

macro_rules! suite {
    ($($file:ident: $($test:ident),+;)+) => {
        mod sqlite {
            $($(#[test] fn $test() { super::$file::$test(super::common::Engine::Sqlite); })+)+
        }
        mod memory {
            $($(#[test] fn $test() { super::$file::$test(super::common::Engine::Memory); })+)+
        }
    };
}

suite! {
    commits:
        a_committed_turn_is_loaded_with_its_call,
        an_actor_that_never_committed_is_empty,
        equal_names_in_two_shards_are_two_actors,
        an_empty_state_is_a_state,
        whole_records_are_kept,
        positions_and_actors_are_there_after_reopening,
        only_a_store_with_records_had_data,
        what_the_sink_is_told_can_be_loaded_at_once,
        reads_beside_commits_see_whole_turns;
    chain:
        a_lower_epoch_is_damage,
        a_gap_is_damage,
        a_place_taken_twice_is_damage,
        another_history_is_damage,
        a_commit_of_an_epoch_never_opened_is_damage,
        an_epoch_opened_twice_is_damage,
        damage_takes_nothing_of_its_group,
        nothing_is_taken_after_a_failure,
        a_panicking_sink_is_a_failure;
    queue:
        all_that_waits_becomes_one_group,
        a_full_queue_refuses_and_recovers,
        a_commit_above_the_limit_is_taken_when_nothing_waits,
        closing_makes_durable_what_was_taken,
        a_store_dropped_by_its_own_sink_still_makes_durable_what_it_took,
        after_closing_everything_answers_closed;
    keeping:
        calls_out_of_time_are_forgotten,
        calls_above_their_number_are_forgotten,
        the_time_of_a_shard_expires_calls_of_its_idle_actors,
        a_clock_set_back_forgets_nothing,
        records_are_trimmed_to_the_tail;
    rows:
        rows_are_there_with_their_turn_and_after_reopening,
        a_range_is_in_the_order_of_bytes_and_of_one_space_and_shard;
}
