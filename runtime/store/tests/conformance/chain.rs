//! Invariant I1 at the store: a record that does not fit ends the run, and nothing of it is kept.

use greenroom_core::journal::{Journal, JournalError, Record};

use crate::common::{Engine, Rig, commit, durable, open, position};

/// Appends `bad` behind (epoch 2, seq 3) of shard 5 and returns what the failure hook was told.
fn refused(engine: Engine, bad: Record) -> String {
    let rig = Rig::new(engine);
    rig.commit([open(5, 1, 1, 0), open(5, 2, 2, 1), commit(5, 2, 3, "Counter/a")]);
    let before = rig.load(5, "Counter/a");
    rig.append([bad]);
    let failure = rig.failure();
    assert_eq!(rig.load(5, "Counter/a"), before);
    assert_eq!(rig.last(5), position(2, 3));
    assert!(rig.told.try_recv().is_err(), "the sink is told nothing");
    assert!(failure.contains("shard 5"), "{failure}");
    failure
}

pub(crate) fn a_lower_epoch_is_damage(engine: Engine) {
    let failure = refused(engine, commit(5, 1, 4, "Counter/a"));
    assert!(failure.contains("its epoch has been replaced"), "{failure}");
    let failure = refused(engine, open(5, 1, 4, 2));
    assert!(failure.contains("its epoch has been replaced"), "{failure}");
}

pub(crate) fn a_gap_is_damage(engine: Engine) {
    let failure = refused(engine, commit(5, 2, 5, "Counter/a"));
    assert!(failure.contains("does not take the next place"), "{failure}");
}

pub(crate) fn a_place_taken_twice_is_damage(engine: Engine) {
    let failure = refused(engine, commit(5, 2, 3, "Counter/a"));
    assert!(failure.contains("does not take the next place"), "{failure}");
}

pub(crate) fn another_history_is_damage(engine: Engine) {
    let failure = refused(engine, open(5, 3, 4, 1));
    assert!(failure.contains("made for another history"), "{failure}");
}

pub(crate) fn a_commit_of_an_epoch_never_opened_is_damage(engine: Engine) {
    let mut bad = commit(5, 3, 4, "Counter/a");
    bad.prev_epoch.0 = 2;
    let failure = refused(engine, bad);
    assert!(failure.contains("never opened"), "{failure}");
}

pub(crate) fn an_epoch_opened_twice_is_damage(engine: Engine) {
    let failure = refused(engine, open(5, 2, 4, 2));
    assert!(failure.contains("open already"), "{failure}");
}

pub(crate) fn damage_takes_nothing_of_its_group(engine: Engine) {
    let rig = Rig::gated(engine, |_| {});
    rig.append([open(5, 1, 1, 0)]);
    rig.told();
    // The committer waits at the gate, so these three become one group.
    rig.append([open(6, 1, 1, 0), commit(5, 1, 2, "Counter/a"), commit(5, 1, 4, "Counter/a")]);
    rig.gate.send(()).unwrap();
    assert!(rig.failure().contains("seq 4"));
    assert_eq!(rig.store.shards().unwrap(), [durable(5, 1, 1)]);
    assert_eq!(rig.last(6), position(0, 0));
    let rig = rig.reopen();
    assert_eq!(rig.store.shards().unwrap(), [durable(5, 1, 1)]);
    assert_eq!(rig.load(5, "Counter/a").state, None);
}

pub(crate) fn nothing_is_taken_after_a_failure(engine: Engine) {
    let rig = Rig::new(engine);
    rig.append([commit(5, 1, 7, "Counter/a")]);
    rig.failure();
    assert!(matches!(rig.store.append(open(5, 1, 1, 0)), Err(JournalError::Closed)));
    rig.store.close().unwrap();
}

pub(crate) fn a_panicking_sink_is_a_failure(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let (fail, failed) = std::sync::mpsc::channel();
    let mut options = greenroom_store::StoreOptions::new("test");
    options.on_failure = std::sync::Arc::new(move |failure| fail.send(failure.to_string()).unwrap());
    let sink = std::sync::Arc::new(|_: &[_]| panic!("the sink is broken"));
    let store = match engine {
        Engine::Sqlite => greenroom_store::Store::open(dir.path(), options, sink),
        Engine::Memory => greenroom_store::Store::memory(options, sink),
    };
    let store = store.unwrap();
    store.append(open(5, 1, 1, 0)).unwrap();
    assert!(failed.recv().unwrap().contains("the sink is broken"));
    assert!(matches!(store.append(commit(5, 1, 2, "Counter/a")), Err(JournalError::Closed)));
}
