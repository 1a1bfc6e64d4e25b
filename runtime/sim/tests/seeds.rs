//! Seeds that run with every check of the suite. `cargo xtask sim` runs as many as one likes.

use greenroom_sim::simulate;

#[test]
fn three_hundred_histories_keep_the_invariants() {
    for seed in 0..300 {
        let report = simulate(seed, None);
        if let Some(violation) = &report.violation {
            let tail = report.trace[report.trace.len().saturating_sub(40)..].join("\n");
            panic!("{tail}\nseed {seed} violates {violation}\nreplay: cargo xtask sim --seed {seed} --trace");
        }
    }
}
