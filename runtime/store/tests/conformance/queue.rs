//! The queue: groups, limits, closing.

use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};

use greenroom_core::Shard;
use greenroom_core::journal::{Durable, Journal, JournalError, RecordKind};
use greenroom_store::{Store, StoreOptions};
use parking_lot::Mutex;

use crate::common::{Engine, Rig, block_on, commit, durable, open, open_quietly, position};

pub(crate) fn all_that_waits_becomes_one_group(engine: Engine) {
    let rig = Rig::gated(engine, |_| {});
    rig.append([open(0, 1, 1, 0)]);
    rig.told();
    rig.append((1..8).map(|shard| open(shard, 1, 1, 0)));
    rig.append((2..9).flat_map(|seq| (1..8).map(move |shard| commit(shard, 1, seq, "Counter/a"))));
    rig.gate.send(()).unwrap();
    assert_eq!(rig.told(), (1..8).map(|shard| durable(shard, 1, 8)).collect::<Vec<_>>());
    rig.gate.send(()).unwrap();
    let stats = rig.store.stats();
    assert_eq!((stats.groups, stats.records, stats.last_group_records), (2, 57, 56));
    assert_eq!(stats.commit_time_buckets.iter().sum::<u64>(), 2);
    assert_eq!(stats.queued_bytes, 0);
}

pub(crate) fn a_full_queue_refuses_and_recovers(engine: Engine) {
    let rig = Rig::gated(engine, |options| options.queue_bytes = 8 << 10);
    rig.append([open(5, 1, 1, 0)]);
    rig.told();
    let mut taken = 1;
    let refusal = loop {
        match rig.store.append(commit(5, 1, taken + 1, "Counter/a")) {
            Ok(()) => taken += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, JournalError::Full { limit: 8192 }), "{refusal}");
    // Each counts as at least 512 bytes, however small it is.
    assert!((10..=17).contains(&taken), "{taken} records");
    assert!(rig.store.stats().queued_bytes > 7 << 10);
    assert_eq!(rig.store.stats().refused, 1);
    rig.gate.send(()).unwrap();
    assert_eq!(rig.told(), [durable(5, 1, taken)]);
    rig.append([commit(5, 1, taken + 1, "Counter/a")]);
    rig.gate.send(()).unwrap();
    assert_eq!(rig.told(), [durable(5, 1, taken + 1)]);
    rig.gate.send(()).unwrap();
}

pub(crate) fn a_commit_above_the_limit_is_taken_when_nothing_waits(engine: Engine) {
    let rig = Rig::with(engine, |options| options.queue_bytes = 1024);
    rig.commit([open(5, 1, 1, 0)]);
    let mut large = commit(5, 1, 2, "Counter/a");
    let RecordKind::Commit(inner) = &mut large.kind else { unreachable!() };
    inner.state = vec![7; 1 << 20].into();
    rig.commit([large]);
    assert_eq!(rig.load(5, "Counter/a").state.unwrap().len(), 1 << 20);
}

pub(crate) fn closing_makes_durable_what_was_taken(engine: Engine) {
    let rig = Rig::gated(engine, |_| {});
    rig.append([open(5, 1, 1, 0)]);
    rig.told();
    rig.append((2..50).map(|seq| commit(5, 1, seq, "Counter/a")));
    let closing = std::thread::spawn({
        let store = rig.store.clone();
        move || store.close()
    });
    rig.gate.send(()).unwrap();
    assert_eq!(rig.told(), [durable(5, 1, 49)]);
    rig.gate.send(()).unwrap();
    closing.join().unwrap().unwrap();
    assert_eq!(rig.last(5), position(1, 49));
    if engine == Engine::Sqlite {
        assert_eq!(rig.reopen().load(5, "Counter/a").calls.len(), 48);
    }
}

pub(crate) fn a_store_dropped_by_its_own_sink_still_makes_durable_what_it_took(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let slot: Arc<OnceLock<Mutex<Option<Store>>>> = Arc::default();
    let sink = {
        let slot = slot.clone();
        Arc::new(move |durable: &[Durable]| {
            tell.send(durable.to_vec()).unwrap();
            if let Some(store) = slot.wait().lock().take() {
                store.append(commit(5, 1, 2, "Counter/a")).unwrap();
            }
        })
    };
    let options = StoreOptions::new("test");
    let store = match engine {
        Engine::Sqlite => Store::open(dir.path(), options, sink),
        Engine::Memory => Store::memory(options, sink),
    };
    let store = store.unwrap();
    store.append(open(5, 1, 1, 0)).unwrap();
    slot.get_or_init(|| Mutex::new(Some(store)));
    // It ends when the sink is dropped, so after the engine was closed.
    assert_eq!(told.iter().collect::<Vec<_>>(), [[durable(5, 1, 1)], [durable(5, 1, 2)]]);
    if engine == Engine::Sqlite {
        assert_eq!(open_quietly(dir.path(), "test").unwrap().shards().unwrap(), [durable(5, 1, 2)]);
    }
}

pub(crate) fn after_closing_everything_answers_closed(engine: Engine) {
    let rig = Rig::new(engine);
    rig.commit([open(5, 1, 1, 0), commit(5, 1, 2, "Counter/a")]);
    rig.store.close().unwrap();
    rig.store.close().unwrap();
    assert!(matches!(rig.store.append(commit(5, 1, 3, "Counter/a")), Err(JournalError::Closed)));
    let loaded = block_on(rig.store.load(Shard(5), &"Counter/a".parse().unwrap()));
    assert!(matches!(loaded, Err(JournalError::Closed)));
}
