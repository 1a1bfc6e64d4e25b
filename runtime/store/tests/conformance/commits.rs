//! What was committed can be read.

use greenroom_core::Seq;
use greenroom_core::Shard;
use greenroom_core::journal::{RecordKind, StoredActor};

use crate::common::{Engine, Rig, call, commit, durable, load, open, position};

pub(crate) fn a_committed_turn_is_loaded_with_its_call(engine: Engine) {
    let rig = Rig::new(engine);
    rig.commit([open(5, 1, 1, 0), commit(5, 1, 2, "Counter/a"), commit(5, 1, 3, "Counter/a")]);
    let expected = StoredActor {
        state: Some("state 3".into()),
        calls: vec![(Seq(2), call(2, 2)), (Seq(3), call(3, 3))],
    };
    assert_eq!(rig.load(5, "Counter/a"), expected);
    assert_eq!(rig.last(5), position(1, 3));
}

pub(crate) fn an_actor_that_never_committed_is_empty(engine: Engine) {
    let rig = Rig::new(engine);
    rig.commit([open(5, 1, 1, 0), commit(5, 1, 2, "Counter/a")]);
    assert_eq!(rig.load(5, "Counter/b"), StoredActor::default());
    assert_eq!(rig.load(5, "Counted/a"), StoredActor::default());
    assert_eq!(rig.last(6), position(0, 0));
}

pub(crate) fn equal_names_in_two_shards_are_two_actors(engine: Engine) {
    let rig = Rig::new(engine);
    rig.commit([open(1, 1, 1, 0), commit(1, 1, 2, "Counter/a")]);
    rig.commit([open(2, 1, 1, 0), commit(2, 1, 2, "Counter/a"), commit(2, 1, 3, "Counter/a")]);
    assert_eq!(rig.load(1, "Counter/a").state, Some("state 2".into()));
    assert_eq!(rig.load(2, "Counter/a").state, Some("state 3".into()));
}

pub(crate) fn an_empty_state_is_a_state(engine: Engine) {
    let rig = Rig::new(engine);
    let mut empty = commit(5, 1, 2, "Counter/a");
    let RecordKind::Commit(inner) = &mut empty.kind else { unreachable!() };
    inner.state = "".into();
    inner.call.reply.data = "".into();
    rig.commit([open(5, 1, 1, 0), empty]);
    assert_eq!(rig.load(5, "Counter/a").state, Some("".into()));
}

pub(crate) fn whole_records_are_kept(engine: Engine) {
    let rig = Rig::new(engine);
    let records =
        [open(5, 1, 1, 0), commit(5, 1, 2, "Counter/a"), open(5, 4, 3, 1), commit(5, 4, 4, "Counter/ключ")];
    rig.commit(records.clone());
    let rig = rig.reopen();
    assert_eq!(rig.store.records(Shard(5), Seq(0)).unwrap(), records);
    assert_eq!(rig.store.records(Shard(5), Seq(3)).unwrap(), records[3..]);
    assert_eq!(rig.store.records(Shard(6), Seq(0)).unwrap(), []);
}

pub(crate) fn positions_and_actors_are_there_after_reopening(engine: Engine) {
    let rig = Rig::new(engine);
    rig.commit([open(5, 1, 1, 0), commit(5, 1, 2, "Counter/a"), open(9, 3, 1, 0)]);
    let before = rig.load(5, "Counter/a");
    let rig = rig.reopen();
    assert_eq!(rig.load(5, "Counter/a"), before);
    assert_eq!(rig.last(5), position(1, 2));
    assert_eq!(rig.store.shards().unwrap(), [durable(5, 1, 2), durable(9, 3, 1)]);
    rig.commit([open(5, 2, 3, 1), commit(5, 2, 4, "Counter/a")]);
    assert_eq!(rig.load(5, "Counter/a").calls.len(), 2);
}

pub(crate) fn only_a_store_with_records_had_data(engine: Engine) {
    let rig = Rig::new(engine);
    assert!(!rig.store.had_data());
    let rig = rig.reopen();
    assert!(!rig.store.had_data());
    rig.commit([open(5, 1, 1, 0)]);
    let rig = rig.reopen();
    assert_eq!(rig.store.had_data(), engine == Engine::Sqlite);
}

pub(crate) fn what_the_sink_is_told_can_be_loaded_at_once(engine: Engine) {
    let rig = Rig::new(engine);
    rig.commit([open(5, 1, 1, 0)]);
    for seq in 2..200 {
        rig.append([commit(5, 1, seq, "Counter/a")]);
        assert_eq!(rig.told(), [durable(5, 1, seq)]);
        assert_eq!(rig.last(5), position(1, seq));
        assert_eq!(rig.load(5, "Counter/a").state, Some(format!("state {seq}").into()));
    }
}

pub(crate) fn reads_beside_commits_see_whole_turns(engine: Engine) {
    const LAST: u64 = 400;
    let rig = Rig::new(engine);
    rig.commit([open(5, 1, 1, 0), commit(5, 1, 2, "Counter/a")]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seen = 0;
                while seen < LAST {
                    let actor = load(&rig.store, 5, "Counter/a");
                    let last = actor.calls.last().unwrap().0.0;
                    assert!(last >= seen, "{last} after {seen}");
                    assert_eq!(actor.state, Some(format!("state {last}").into()));
                    assert_eq!(actor.calls.len() as u64, last - 1);
                    seen = last;
                }
            });
        }
        rig.append((3..=LAST).map(|seq| commit(5, 1, seq, "Counter/a")));
    });
}
