//! A store of either engine with everything a test wants to see of it, and builders of records.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use greenroom_core::journal::{
    CallRecord, Commit, Durable, Journal, Position, Record, RecordKind, StoredActor,
};
use greenroom_core::map::NodeRun;
use greenroom_core::rows::{RowChange, RowRange};
use greenroom_core::{ActorId, CallId, ContentType, Epoch, Incarnation, Payload, Seq, Shard, StoreId};
use greenroom_store::{Retention, Store, StoreOptions};
use tempfile::TempDir;

/// How long a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Memory,
}

pub(crate) struct Rig {
    pub(crate) engine: Engine,
    /// With `gated`, the sink takes one of these before it returns; until then the committer stands still. Dropped
    /// before the store, so that a failed test does not wait for the committer.
    pub(crate) gate: Sender<()>,
    pub(crate) store: Arc<Store>,
    pub(crate) dir: TempDir,
    /// What the sink was told, one entry per group.
    pub(crate) told: Receiver<Vec<Durable>>,
    /// What the failure hook was told.
    pub(crate) failed: Receiver<String>,
    options: StoreOptions,
}

impl Rig {
    pub(crate) fn new(engine: Engine) -> Self {
        Self::with(engine, |_| {})
    }

    pub(crate) fn with(engine: Engine, change: impl FnOnce(&mut StoreOptions)) -> Self {
        let mut options = StoreOptions::new("test");
        change(&mut options);
        Self::open(engine, tempfile::tempdir().unwrap(), options, false)
    }

    pub(crate) fn gated(engine: Engine, change: impl FnOnce(&mut StoreOptions)) -> Self {
        let mut options = StoreOptions::new("test");
        change(&mut options);
        Self::open(engine, tempfile::tempdir().unwrap(), options, true)
    }

    fn open(engine: Engine, dir: TempDir, mut options: StoreOptions, gated: bool) -> Self {
        let (tell, told) = channel();
        let (fail, failed) = channel();
        let (gate, passes) = channel();
        let passes = parking_lot::Mutex::new(passes);
        options.on_failure = Arc::new(move |failure| fail.send(failure.to_string()).unwrap());
        let sink = Arc::new(move |durable: &[Durable]| {
            let _ = tell.send(durable.to_vec());
            if gated {
                let _ = passes.lock().recv();
            }
        });
        let store = match engine {
            Engine::Sqlite => Store::open(dir.path(), options.clone(), sink),
            Engine::Memory => Store::memory(options.clone(), sink),
        };
        let store = Arc::new(store.unwrap());
        Self { engine, store, dir, told, failed, gate, options }
    }

    /// Closes the store and opens it again; a memory store has nothing to open, so it stays.
    pub(crate) fn reopen(self) -> Self {
        if self.engine == Engine::Memory {
            return self;
        }
        self.store.close().unwrap();
        Self::open(self.engine, self.dir, self.options, false)
    }

    pub(crate) fn append(&self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            self.store.append(record).unwrap();
        }
    }

    /// Appends and waits until the last of them is durable.
    pub(crate) fn commit(&self, records: impl IntoIterator<Item = Record>) {
        let mut last = None;
        for record in records {
            last = Some((record.shard, record.seq));
            self.store.append(record).unwrap();
        }
        let Some((shard, seq)) = last else { return };
        while !self.told().iter().any(|d| d.shard == shard && d.position.seq >= seq) {}
    }

    pub(crate) fn told(&self) -> Vec<Durable> {
        self.told.recv_timeout(PATIENCE).expect("the sink is told")
    }

    pub(crate) fn failure(&self) -> String {
        self.failed.recv_timeout(PATIENCE).expect("the failure hook is called")
    }

    pub(crate) fn load(&self, shard: u16, actor: &str) -> StoredActor {
        load(&self.store, shard, actor)
    }

    pub(crate) fn rows(&self, shard: u16, range: RowRange, limit: usize) -> Vec<(Bytes, Bytes)> {
        block_on(self.store.rows(Shard(shard), range, limit)).unwrap()
    }

    pub(crate) fn last(&self, shard: u16) -> Position {
        block_on(self.store.last(Shard(shard))).unwrap()
    }
}

pub(crate) fn load(store: &Store, shard: u16, actor: &str) -> StoredActor {
    block_on(store.load(Shard(shard), &actor.parse().unwrap())).unwrap()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Opens a store whose failures and progress nobody looks at.
pub(crate) fn open_quietly(dir: &Path, cluster: &str) -> Result<Store, greenroom_store::StoreError> {
    Store::open(dir, StoreOptions::new(cluster), Arc::new(|_| {}))
}

pub(crate) fn position(epoch: u64, seq: u64) -> Position {
    Position { epoch: Epoch(epoch), seq: Seq(seq) }
}

pub(crate) fn durable(shard: u16, epoch: u64, seq: u64) -> Durable {
    Durable { shard: Shard(shard), position: position(epoch, seq) }
}

/// An opening record.
pub(crate) fn open(shard: u16, epoch: u64, seq: u64, prev_epoch: u64) -> Record {
    let run = NodeRun { store: StoreId(uuid::Uuid::from_u128(7)), incarnation: Incarnation(epoch) };
    record(shard, epoch, seq, prev_epoch, RecordKind::Open(run))
}

/// A commit of `actor`, with its place as state, call id and reply.
pub(crate) fn commit(shard: u16, epoch: u64, seq: u64, actor: &str) -> Record {
    commit_at(shard, epoch, seq, actor, seq)
}

/// The same, made at a time.
pub(crate) fn commit_at(shard: u16, epoch: u64, seq: u64, actor: &str, at_unix_ms: u64) -> Record {
    commit_of(shard, epoch, seq, actor, vec![call(seq, at_unix_ms)])
}

/// A commit that carries the calls of relaxed turns, too.
pub(crate) fn commit_of(shard: u16, epoch: u64, seq: u64, actor: &str, mut calls: Vec<CallRecord>) -> Record {
    let actor: ActorId = actor.parse().unwrap();
    let call = calls.pop().unwrap();
    let state = format!("state {seq}").into();
    let commit = Commit { actor, state, earlier: calls, call, rows: Vec::new() };
    record(shard, epoch, seq, epoch, RecordKind::Commit(commit))
}

/// Rows that no turn changed.
pub(crate) fn rows(shard: u16, epoch: u64, seq: u64, rows: Vec<RowChange>) -> Record {
    record(shard, epoch, seq, epoch, RecordKind::Rows(rows))
}

/// The call that [`commit_at`] makes.
pub(crate) fn call(seq: u64, at_unix_ms: u64) -> CallRecord {
    let content_types = [ContentType::Json, ContentType::Msgpack, ContentType::Protobuf];
    let content_type = content_types[usize::try_from(seq % 3).unwrap()];
    CallRecord {
        id: CallId(u128::MAX - u128::from(seq)),
        method: "add".into(),
        arguments_hash: u64::MAX - seq,
        reply: Payload { content_type, data: format!("reply {seq}").into() },
        at_unix_ms,
    }
}

fn record(shard: u16, epoch: u64, seq: u64, prev_epoch: u64, kind: RecordKind) -> Record {
    Record { shard: Shard(shard), epoch: Epoch(epoch), seq: Seq(seq), prev_epoch: Epoch(prev_epoch), kind }
}

pub(crate) fn retention(call_ms: u64, calls_per_actor: usize, records_per_shard: usize) -> Retention {
    Retention { call_ms, calls_per_actor, records_per_shard }
}
