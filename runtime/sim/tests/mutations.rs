//! The checkers find what they are there for: each planted mistake shows within some seeds, by an invariant that it
//! breaks.

use greenroom_sim::{Mutation, simulate};

/// How many seeds a mistake may stay hidden. Most show in the first ten.
const SEEDS: u64 = 400;

/// The invariants by which a mistake may show first.
fn shows_as(mutation: Mutation) -> &'static [&'static str] {
    match mutation {
        Mutation::DurableTooEarly => &["i3_output_waits_for_its_commit"],
        Mutation::LoadForgetsCalls | Mutation::RepeatsWithAnotherId => &["i4_applied_once"],
        Mutation::LoadIsOld => &["i2_nothing_durable_is_undone"],
        Mutation::SyncLies | Mutation::TailHasHoles => &["i1_no_gap"],
        // A page that is overwritten loses members and owners.
        Mutation::RegisterForgetsConflicts => &["the_map_and_the_logs_agree", "everything_is_served_again"],
        // Refused at every start, and never served from: that is what registration is for.
        Mutation::SameIncarnation | Mutation::VolumeSetBack => &["everything_is_served_again"],
        Mutation::TwoRunsOnOneStore => &[
            "i1_no_lower_epoch_after_an_open",
            "i1_no_gap",
            "the_map_and_the_logs_agree",
            "everything_is_served_again",
        ],
        Mutation::LostCountsAsNotSent => &["what_was_not_done_is_not_there"],
        Mutation::AnswersOfOthers => {
            &["i4_a_repeated_call_gets_the_stored_reply", "i2_acknowledged_values_are_there"]
        }
        other => panic!("{other:?} is a mistake of the programming model: tests/programs.rs looks for it"),
    }
}

#[test]
fn every_planted_mistake_is_found() {
    for mutation in Mutation::ALL {
        let found = (0..SEEDS).find_map(|seed| Some((seed, simulate(seed, Some(mutation)).violation?)));
        let Some((seed, violation)) = found else { panic!("{mutation:?} stayed hidden for {SEEDS} seeds") };
        println!("{mutation:?}: seed {seed}, {violation}");
        let expected = shows_as(mutation);
        assert!(expected.contains(&violation.invariant), "{mutation:?}, seed {seed}: {violation}");
    }
}
