//! One seed is one history.

use greenroom_sim::simulate;

#[test]
fn a_seed_run_twice_gives_the_same_trace() {
    for seed in (0..40).chain([u64::MAX]) {
        let (first, second) = (simulate(seed, None), simulate(seed, None));
        let differs = first.trace.iter().zip(&second.trace).position(|(one, other)| one != other);
        if let Some(line) = differs {
            panic!("seed {seed}, line {line}:\n{}\n{}", first.trace[line], second.trace[line]);
        }
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}: the same events, but tasks ran in another order");
        assert_eq!(first.stats, second.stats, "seed {seed}");
    }
}

#[test]
fn other_seeds_are_other_histories() {
    assert_ne!(simulate(1, None).hash, simulate(2, None).hash);
}
