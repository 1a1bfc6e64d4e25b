//! How long calls and records are kept: by the rule exactly, whatever has been cleaned already.

use greenroom_core::{Seq, Shard};

use crate::common::{Engine, Rig, commit_at, open, retention};

fn seqs(rig: &Rig, actor: &str) -> Vec<u64> {
    rig.load(5, actor).calls.iter().map(|(seq, _)| seq.0).collect()
}

pub(crate) fn calls_out_of_time_are_forgotten(engine: Engine) {
    let rig = Rig::with(engine, |options| options.retention = retention(100, 1000, 64));
    rig.commit([open(5, 1, 1, 0)]);
    rig.commit([commit_at(5, 1, 2, "Counter/a", 1000), commit_at(5, 1, 3, "Counter/a", 1100)]);
    assert_eq!(seqs(&rig, "Counter/a"), [2, 3], "as old as the retention is not too old");
    rig.commit([commit_at(5, 1, 4, "Counter/a", 1101)]);
    assert_eq!(seqs(&rig, "Counter/a"), [3, 4]);
    assert_eq!(rig.load(5, "Counter/a").state, Some("state 4".into()));
}

pub(crate) fn calls_above_their_number_are_forgotten(engine: Engine) {
    let rig = Rig::with(engine, |options| options.retention = retention(u64::MAX, 10, 64));
    rig.commit([open(5, 1, 1, 0)]);
    for seq in 2..200 {
        rig.commit([commit_at(5, 1, seq, "Counter/a", 1000)]);
        let oldest = if seq < 12 { 2 } else { seq - 9 };
        assert_eq!(seqs(&rig, "Counter/a"), (oldest..=seq).collect::<Vec<_>>());
    }
}

pub(crate) fn the_time_of_a_shard_expires_calls_of_its_idle_actors(engine: Engine) {
    let rig = Rig::with(engine, |options| options.retention = retention(100, 1000, 64));
    rig.commit([open(5, 1, 1, 0), commit_at(5, 1, 2, "Counter/idle", 1000)]);
    rig.commit((3..60).map(|seq| commit_at(5, 1, seq, "Counter/busy", 1000 + seq * 10)));
    let idle = rig.load(5, "Counter/idle");
    assert_eq!((idle.state, idle.calls), (Some("state 2".into()), vec![]));
    assert_eq!(seqs(&rig, "Counter/busy"), (49..60).collect::<Vec<_>>());
    // Another shard has another time.
    rig.commit([open(6, 1, 1, 0), commit_at(6, 1, 2, "Counter/a", 1)]);
    assert_eq!(rig.load(6, "Counter/a").calls.len(), 1);
}

pub(crate) fn a_clock_set_back_forgets_nothing(engine: Engine) {
    let rig = Rig::with(engine, |options| options.retention = retention(100, 1000, 64));
    rig.commit([open(5, 1, 1, 0), commit_at(5, 1, 2, "Counter/a", 1000)]);
    rig.commit([commit_at(5, 1, 3, "Counter/a", 950), commit_at(5, 1, 4, "Counter/a", 980)]);
    assert_eq!(seqs(&rig, "Counter/a"), [2, 3, 4]);
}

pub(crate) fn records_are_trimmed_to_the_tail(engine: Engine) {
    let rig = Rig::with(engine, |options| options.retention = retention(1000, 1000, 20));
    let kept = || rig.store.records(Shard(5), Seq(0)).unwrap().iter().map(|r| r.seq.0).collect::<Vec<_>>();
    rig.commit([open(5, 1, 1, 0)]);
    for seq in 2..=496 {
        rig.commit([commit_at(5, 1, seq, "Counter/a", 1000)]);
    }
    // Just cleaned, as at each multiple of 16.
    assert_eq!(kept(), (477..=496).collect::<Vec<_>>());
    rig.commit((497..=511).map(|seq| commit_at(5, 1, seq, "Counter/a", 1000)));
    assert_eq!(kept(), (477..=511).collect::<Vec<_>>());
}
