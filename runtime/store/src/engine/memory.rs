//! The engine without files: for `Runtime::local()` and for tests. "Durable" here means "in memory".

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use greenroom_core::journal::{CallRecord, Commit, Durable, Position, Record, RecordKind, StoredActor};
use greenroom_core::rows::{RowChange, RowRange, Space};
use greenroom_core::{ActorId, Seq, Shard};
use parking_lot::Mutex;

use super::{Engine, EngineError, cleaning_due};
use crate::options::Retention;

pub(crate) struct MemoryEngine {
    retention: Retention,
    /// `None` when closed. One lock for all: a group becomes visible as a whole.
    shards: Mutex<Option<HashMap<Shard, ShardData>>>,
}

#[derive(Default)]
struct ShardData {
    position: Position,
    /// The highest time stamp of a commit.
    newest_ms: u64,
    records: VecDeque<Record>,
    actors: HashMap<ActorId, ActorData>,
    rows: BTreeMap<(Space, Bytes), Bytes>,
    /// Who committed when, oldest first: finds the expired calls of actors that nobody calls any more.
    commits: VecDeque<(u64, ActorId)>,
}

#[derive(Default)]
struct ActorData {
    state: Bytes,
    calls: VecDeque<(Seq, CallRecord)>,
}

impl MemoryEngine {
    pub(crate) fn new(retention: Retention) -> Self {
        Self { retention, shards: Mutex::new(Some(HashMap::new())) }
    }

    fn read<T>(&self, read: impl FnOnce(&HashMap<Shard, ShardData>) -> T) -> Result<T, EngineError> {
        self.shards.lock().as_ref().map(read).ok_or(EngineError::Closed)
    }
}

impl Engine for MemoryEngine {
    fn apply(&self, group: &[Record]) -> Result<(), EngineError> {
        let mut shards = self.shards.lock();
        let shards = shards.as_mut().ok_or(EngineError::Closed)?;
        for record in group {
            shards.entry(record.shard).or_default().apply(record, &self.retention);
        }
        Ok(())
    }

    fn maintain(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn load(&self, shard: Shard, actor: &ActorId) -> Result<StoredActor, EngineError> {
        self.read(|shards| {
            let found = shards.get(&shard).and_then(|s| Some((s, s.actors.get(actor)?)));
            found.map_or_else(StoredActor::default, |(shard, actor)| {
                let horizon = shard.newest_ms.saturating_sub(self.retention.call_ms);
                let calls =
                    actor.calls.iter().filter(|(_, call)| call.at_unix_ms >= horizon).cloned().collect();
                StoredActor { state: Some(actor.state.clone()), calls }
            })
        })
    }

    fn rows(&self, shard: Shard, range: &RowRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        self.read(|shards| {
            let rows = shards.get(&shard).into_iter().flat_map(|data| data.rows_from(range));
            rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
        })
    }

    fn shards(&self) -> Result<Vec<Durable>, EngineError> {
        self.read(|shards| {
            let mut durable: Vec<_> =
                shards.iter().map(|(&shard, data)| Durable { shard, position: data.position }).collect();
            durable.sort_unstable_by_key(|d| d.shard);
            durable
        })
    }

    fn records(&self, shard: Shard, after: Seq) -> Result<Vec<Record>, EngineError> {
        self.read(|shards| {
            let records = shards.get(&shard).into_iter().flat_map(|data| &data.records);
            records.filter(|record| record.seq > after).cloned().collect()
        })
    }

    fn reads_block(&self) -> bool {
        false
    }

    fn close(&self) -> Result<(), EngineError> {
        *self.shards.lock() = None;
        Ok(())
    }
}

impl ShardData {
    fn apply(&mut self, record: &Record, retention: &Retention) {
        self.position = Position { epoch: record.epoch, seq: record.seq };
        self.records.push_back(record.clone());
        match &record.kind {
            RecordKind::Open(_) => {}
            RecordKind::Commit(commit) => self.apply_commit(record.seq, commit, retention),
            RecordKind::Rows(rows) => self.change_rows(rows),
        }
        if let Some(budget) = cleaning_due(record.seq, record.seq) {
            self.clean(budget, retention);
        }
    }

    fn rows_from(&self, range: &RowRange) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let rows = self.rows.range((range.space, range.from.clone())..);
        rows.take_while(|((space, key), _)| *space == range.space && range.contains(key))
            .map(|((_, key), value)| (key, value))
    }

    fn change_rows(&mut self, rows: &[RowChange]) {
        for RowChange { space, key, value } in rows {
            match value {
                Some(value) => self.rows.insert((*space, key.clone()), value.clone()),
                None => self.rows.remove(&(*space, key.clone())),
            };
        }
    }

    fn apply_commit(&mut self, seq: Seq, commit: &Commit, retention: &Retention) {
        self.change_rows(&commit.rows);
        let actor = self.actors.entry(commit.actor.clone()).or_default();
        actor.state = commit.state.clone();
        for call in commit.calls() {
            self.newest_ms = self.newest_ms.max(call.at_unix_ms);
            self.commits.push_back((call.at_unix_ms, commit.actor.clone()));
            actor.calls.push_back((seq, call.clone()));
            if actor.calls.len() > retention.calls_per_actor {
                actor.calls.pop_front();
            }
        }
    }

    fn clean(&mut self, budget: u64, retention: &Retention) {
        let surplus = self.records.len().saturating_sub(retention.records_per_shard);
        self.records.drain(..surplus);
        let horizon = self.newest_ms.saturating_sub(retention.call_ms);
        for _ in 0..budget {
            let Some((_, id)) = self.commits.pop_front_if(|(at, _)| *at < horizon) else { return };
            if let Some(actor) = self.actors.get_mut(&id) {
                actor.calls.pop_front_if(|(_, call)| call.at_unix_ms < horizon);
            }
        }
    }
}
