//! Random programs against the sequential model. `cargo xtask sim --programs` runs as many as one likes.

use std::collections::BTreeSet;

use greenroom_sim::{Counts, Mutation, Report, programs};

/// How many seeds a planted mistake may stay hidden. Most show in the first ten.
const SEEDS: u64 = 300;

fn simulate(seed: u64, mutation: Option<Mutation>) -> Report<Counts> {
    programs::simulate(seed, mutation, &BTreeSet::new())
}

#[test]
fn three_hundred_programs_do_what_the_model_does() {
    let mut all = Counts::default();
    for seed in 0..300 {
        let report = simulate(seed, None);
        if let Some(violation) = &report.violation {
            let shrunk = programs::shrink(seed, None).map(|shrunk| shrunk.to_string()).unwrap_or_default();
            panic!("seed {seed} violates {violation}\n{shrunk}");
        }
        all += report.stats;
    }
    // What never happens cannot go wrong.
    let Counts { failed, nested, told, reliable, delayed, ticks, timers, crashes, .. } = all;
    let Counts { published, subscriptions, taken_back, steps, followed, .. } = all;
    let Counts { beats, visits, news, carried, letters, sent_again, overheard, consumed, migrated, .. } = all;
    let Counts { expected, ushered, .. } = all;
    let often = [
        failed,
        nested,
        told,
        reliable,
        delayed,
        ticks,
        timers,
        published,
        subscriptions,
        steps,
        beats,
        visits,
        news,
        carried,
        followed,
        crashes,
        ushered,
    ];
    assert!(
        often.into_iter().min() > Some(100)
            && letters.min(overheard).min(consumed).min(migrated).min(expected) > 10
            && taken_back.min(sent_again) > 0,
        "{all:?}"
    );
}

#[test]
fn a_program_run_twice_gives_the_same_trace() {
    for seed in 0..25 {
        let (first, second) = (simulate(seed, None), simulate(seed, None));
        let differs = first.trace.iter().zip(&second.trace).position(|(one, other)| one != other);
        if let Some(line) = differs {
            panic!("seed {seed}, line {line}:\n{}\n{}", first.trace[line], second.trace[line]);
        }
        assert_eq!(first.hash, second.hash, "seed {seed}: the same events, but tasks ran in another order");
        assert_eq!(first.stats, second.stats, "seed {seed}");
    }
    assert_ne!(simulate(1, None).hash, simulate(2, None).hash);
}

/// The invariants by which a planted mistake may show first.
fn shows_as(mutation: Mutation) -> &'static [&'static str] {
    match mutation {
        Mutation::DurableTooEarly => &[
            "i3_output_waits_for_its_commit",
            "i3_a_message_leaves_after_its_turn",
            "i3_a_call_leaves_after_what_its_turn_saw",
        ],
        Mutation::LoadForgetsCalls => &["i4_applied_once", "what_was_sent_once_is_applied_once"],
        Mutation::LoadIsOld => &["turns_form_one_line", "i4_applied_once"],
        Mutation::MigrationIsLost => &["a_failed_turn_leaves_nothing", "turns_form_one_line"],
        Mutation::RollbackIsLost => &["a_failed_turn_leaves_nothing"],
        Mutation::FailedTurnTells => &["i3_a_message_leaves_after_its_turn"],
        Mutation::CommitIsTorn => &[
            "i3_a_message_leaves_after_its_turn",
            "what_is_promised_is_done_in_the_end",
            "reads_see_a_state_that_existed",
            "the_index_finds_what_is_committed",
            "what_is_published_is_handed_on_once",
        ],
        Mutation::OutboxForgets => &["what_is_promised_is_done_in_the_end"],
        Mutation::TickMovesFirst => {
            &["what_is_promised_is_done_in_the_end", "i3_a_message_leaves_after_its_turn"]
        }
        Mutation::VisitIsLost => &["what_comes_in_is_part_of_its_turn"],
        Mutation::TicksPileUp => &["what_rings_does_not_pile_up"],
        // Who comes too early also gets what another one would have consumed.
        Mutation::PriorityIsIgnored => {
            &["higher_priorities_come_first", "what_was_sent_once_is_applied_once"]
        }
        Mutation::ConsumedIsPassedOn => &["what_is_consumed_goes_no_further"],
        Mutation::NewsComesTwice | Mutation::OverheardTwice | Mutation::PorterCallsTwice => {
            &["what_was_sent_once_is_applied_once"]
        }
        Mutation::LettersAreLost => &["what_is_promised_is_done_in_the_end"],
        Mutation::NewsAreLost | Mutation::SessionIsForgotten => &["who_stays_in_memory_hears_it"],
        Mutation::LocalsAreShared => &["a_local_actor_is_its_nodes_own"],
        other => panic!("{other:?} is no mistake of the programming model"),
    }
}

/// What a mistake needs to show, as programs say it.
fn shows_with(mutation: Mutation) -> &'static [&'static str] {
    match mutation {
        Mutation::FailedTurnTells => &["tell [", "Refuse"],
        Mutation::LettersAreLost => &["reliably [", "Refuse"],
        Mutation::OutboxForgets => &["reliably [", "Crash"],
        Mutation::TickMovesFirst => &["remind"],
        Mutation::VisitIsLost => &["visit ["],
        Mutation::TicksPileUp => &["times a second"],
        Mutation::NewsComesTwice => &["tell every"],
        Mutation::NewsAreLost => &["tell every", CALM],
        Mutation::PorterCallsTwice => &["have carried"],
        Mutation::ConsumedIsPassedOn | Mutation::PriorityIsIgnored => &["with priority", "publish to rank/"],
        Mutation::OverheardTwice => &["overhear", "publish to live/"],
        Mutation::SessionIsForgotten => &["overhear", "publish to live/", CALM],
        Mutation::MigrationIsLost => &["Elder/", "the next version"],
        Mutation::LocalsAreShared => &["call usher"],
        _ => &[],
    }
}

/// Nothing goes wrong in such a program.
const CALM: &str = "lose: 0.0, duplicate: 0.0, late: 0.0, delay_ms: 1 ";

/// Seeds whose programs have much of each of these come first.
fn seeds_with(programs: &[String], all: &[&str]) -> Vec<u64> {
    let little = |seed: &u64| {
        let program = &programs[*seed as usize];
        all.iter().map(|part| program.matches(part).count()).min()
    };
    let mut seeds: Vec<_> = (0..SEEDS).collect();
    seeds.sort_by_key(|seed| std::cmp::Reverse(little(seed)));
    seeds
}

#[test]
fn every_planted_mistake_is_found() {
    let programs: Vec<_> = (0..SEEDS).map(programs::read).collect();
    for mutation in Mutation::OF_PROGRAMS {
        let seeds = seeds_with(&programs, shows_with(mutation));
        let found =
            seeds.into_iter().find_map(|seed| Some((seed, simulate(seed, Some(mutation)).violation?)));
        let Some((seed, violation)) = found else { panic!("{mutation:?} stayed hidden for {SEEDS} seeds") };
        println!("{mutation:?}: seed {seed}, {violation}");
        let expected = shows_as(mutation);
        assert!(expected.contains(&violation.invariant), "{mutation:?}, seed {seed}: {violation}");
    }
}

#[test]
fn a_failing_program_is_made_small_and_replays() {
    let mistake = Some(Mutation::RollbackIsLost);
    let programs: Vec<_> = (0..SEEDS).map(programs::read).collect();
    // Nothing else goes wrong there, so little is needed.
    let seeds = seeds_with(&programs, &["Refuse", CALM]);
    let seed =
        seeds.into_iter().find(|seed| simulate(*seed, mistake).violation.is_some()).expect("it is found");
    let shrunk = programs::shrink(seed, mistake).expect("the seed fails");
    let again = programs::simulate(seed, mistake, &shrunk.without);
    assert_eq!(again.hash, shrunk.report.hash);
    assert_eq!(again.violation, shrunk.report.violation);
    // A turn that changes something and fails, one more turn of that actor, and what makes it listen if it heard of that.
    let asks = shrunk.program.lines().filter(|line| line.contains("runs")).count();
    assert!((1..=3).contains(&asks), "{shrunk}");
    assert!(!shrunk.program.contains("Crash"), "{shrunk}");
}
