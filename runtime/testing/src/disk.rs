//! A simulated volume with a journal on it.
//!
//! Records are kept in order of their arrival and become durable in groups over all shards, after a drawn time. A crash
//! loses the tail that was not synced, but any prefix of it may have reached the disk (assumption A2). The journal
//! thread belongs to the run of the node: it stands still while the run is paused and ends with it, at times between
//! "durable" and telling so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::env::Env;
use greenroom_core::journal::{
    Commit, Durable, DurableSink, Journal, JournalError, Position, Record, RecordKind, StoredActor,
};
use greenroom_core::map::NodeRun;
use greenroom_core::rows::{RowChange, RowRange, Space, replay};
use greenroom_core::{ActorId, Incarnation, Shard, StoreId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::conditions::DiskFaults;
use crate::mutation::Mutation;
use crate::observer::Event;
use crate::world::World;

/// Tells whoever keeps the node that it is to crash now.
pub type Crash = Arc<dyn Fn() + Send + Sync>;

/// A volume. It outlives every run of its node.
pub struct Disk {
    world: Arc<World>,
    store: StoreId,
    state: Mutex<State>,
    appended: Notify,
}

#[derive(Default)]
struct State {
    incarnation: Incarnation,
    /// Everything durable, in the order of the file.
    log: Vec<(NodeRun, Record)>,
    /// What each run has appended and not synced yet.
    tails: BTreeMap<Incarnation, VecDeque<Record>>,
    slow: bool,
    /// Incarnation and length of the log at each start, for the planted mistake of a volume that is set back.
    starts: Vec<(Incarnation, usize)>,
    /// What every start finds, once that mistake has happened.
    copy: Option<(Incarnation, usize)>,
}

impl Disk {
    /// An empty volume.
    pub fn format(world: &Arc<World>, number: usize) -> Arc<Self> {
        let store = StoreId(Uuid::from_u128(number as u128 + 1));
        let (state, appended) = (Mutex::default(), Notify::new());
        Arc::new(Self { world: world.clone(), store, state, appended })
    }

    /// Which store it is.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Raises the incarnation durably. Says whether the store holds records.
    pub fn open(&self) -> (NodeRun, bool) {
        let mut state = self.state.lock();
        if self.world.has(Mutation::VolumeSetBack) {
            self.set_back(&mut state);
        }
        if state.incarnation.0 == 0 || !self.world.has(Mutation::SameIncarnation) {
            state.incarnation.0 += 1;
        }
        let run = NodeRun { store: self.store, incarnation: state.incarnation };
        state.tails.insert(run.incarnation, VecDeque::new());
        let start = (run.incarnation, state.log.len());
        state.starts.push(start);
        (run, !state.log.is_empty())
    }

    /// Makes the volume the copy that it began an earlier start with than that of the last run that wrote: a copy made
    /// during that run cannot be told from the volume itself.
    fn set_back(&self, state: &mut State) {
        let writer = state.log.last().map_or(Incarnation(0), |(writer, _)| writer.incarnation);
        let earlier = state.starts.partition_point(|(incarnation, _)| *incarnation < writer);
        if state.copy.is_none() && earlier > 0 && self.world.fault(0.3) {
            state.copy = Some(state.starts[self.world.draw(|random| random.usize(..earlier))]);
        }
        if let Some((incarnation, length)) = state.copy {
            state.incarnation = incarnation;
            state.log.truncate(length);
        }
    }

    /// The journal of a run, with its thread.
    pub fn journal(
        self: &Arc<Self>,
        run: NodeRun,
        env: &dyn Env,
        sink: DurableSink,
        crash: Crash,
    ) -> Arc<dyn Journal> {
        env.spawn(Box::pin(self.clone().sync_groups(run, sink, crash)));
        Arc::new(DiskJournal { disk: self.clone(), run })
    }

    /// Makes every sync slow, or stops that.
    pub fn set_slow(&self, slow: bool) {
        self.state.lock().slow = slow;
    }

    /// The run is gone: what it had not synced is lost, but for a prefix.
    pub fn crash(&self, run: NodeRun) {
        let mut tail = self.state.lock().tails.remove(&run.incarnation).unwrap_or_default();
        let kept = self.world.draw(|random| random.usize(..=tail.len()));
        let lost = tail.len() - kept;
        if self.world.has(Mutation::TailHasHoles) && kept > 0 {
            let hole = self.world.draw(|random| random.usize(..kept));
            tail.remove(hole);
        }
        let kept = kept.min(tail.len());
        self.become_durable(run, tail.drain(..kept).collect());
        let mut shards = BTreeSet::new();
        let first_lost = tail.iter().filter(|record| shards.insert(record.shard));
        self.become_durable(run, first_lost.filter_map(|record| self.torn(record)).collect());
        if self.world.has(Mutation::SyncLies) {
            let mut state = self.state.lock();
            let synced = state.log.len();
            state.log.truncate(synced - synced.min(3));
        }
        if kept + lost > 0 {
            self.world
                .trace
                .add(format!("disk of node-{}: {kept} unsynced records kept, {lost} lost", self.number()));
        }
    }

    /// What a planted mistake keeps of a commit that is lost.
    fn torn(&self, lost: &Record) -> Option<Record> {
        let is_kept = |row: &RowChange| {
            let is_of_reminder = matches!(row.space, Space::REMINDER | Space::DUE);
            self.world.has(Mutation::CommitIsTorn)
                || self.world.has(Mutation::TickMovesFirst) && is_of_reminder
        };
        let RecordKind::Commit(commit) = &lost.kind else { return None };
        let rows: Vec<_> = commit.rows.iter().filter(|row| is_kept(row)).cloned().collect();
        (!rows.is_empty()).then(|| Record { kind: RecordKind::Rows(rows), ..lost.clone() })
    }

    /// A planted mistake that tears commits shows only if a crash takes one that it tears: so some come just then.
    fn tempts_fate(&self, run: NodeRun) -> bool {
        let tears = self.world.has(Mutation::CommitIsTorn) || self.world.has(Mutation::TickMovesFirst);
        tears && self.tail_of(run).any(|record| self.torn(&record).is_some()) && self.world.fault(0.3)
    }

    fn number(&self) -> u128 {
        self.store.0.as_u128() - 1
    }

    async fn sync_groups(self: Arc<Self>, run: NodeRun, sink: DurableSink, crash: Crash) {
        let tail = |state: &State| state.tails.get(&run.incarnation).map_or(0, VecDeque::len);
        loop {
            let appended = self.appended.notified();
            let group = tail(&self.state.lock());
            if group == 0 {
                appended.await;
                continue;
            }
            if self.world.has(Mutation::DurableTooEarly) {
                let early: Vec<_> = self.tail_of(run).collect();
                sink(&last_of_each_shard(&early));
            }
            if self.tempts_fate(run) {
                crash();
                return;
            }
            self.sync().await;
            let records: Vec<_> = match self.state.lock().tails.get_mut(&run.incarnation) {
                Some(tail) => tail.drain(..group.min(tail.len())).collect(),
                None => return,
            };
            let durable = last_of_each_shard(&records);
            self.become_durable(run, records);
            if self.world.fault(self.world.conditions().disk.crash_before_notice) {
                self.world
                    .trace
                    .add(format!("disk of node-{}: crash after a sync, before its notice", self.number()));
                crash();
                return;
            }
            if self.world.chance(0.1) {
                self.world.sleep(0..5).await;
            }
            sink(&durable);
        }
    }

    async fn sync(&self) {
        let DiskFaults { sync_ms: usual, slow, .. } = self.world.conditions().disk;
        let slow = self.state.lock().slow || self.world.fault(slow);
        let most = if slow && !self.world.is_healed() { usual + 400 } else { usual + 1 };
        self.world.sleep(0..most).await;
    }

    fn tail_of(&self, run: NodeRun) -> impl Iterator<Item = Record> {
        let state = self.state.lock();
        state.tails.get(&run.incarnation).cloned().unwrap_or_default().into_iter()
    }

    fn become_durable(&self, run: NodeRun, records: Vec<Record>) {
        for record in records {
            self.world.tell(Event::Durable(run, &record));
            self.state.lock().log.push((run, record));
        }
    }

    fn read(&self, shard: Shard, actor: &ActorId) -> StoredActor {
        let state = self.state.lock();
        let commits = state.log.iter().filter_map(|(_, record)| match &record.kind {
            RecordKind::Commit(commit) if record.shard == shard && commit.actor == *actor => {
                Some((record.seq, commit))
            }
            _ => None,
        });
        let mut stored = StoredActor::default();
        let mut states = Vec::new();
        for (seq, commit) in commits {
            states.push(commit.state.clone());
            stored.calls.extend(commit.calls().map(|call| (seq, call.clone())));
        }
        if self.world.has(Mutation::LoadIsOld) {
            states.pop();
            stored.calls.pop();
        }
        if self.world.has(Mutation::LoadForgetsCalls) {
            stored.calls.clear();
        }
        stored.state = states.pop();
        stored
    }
}

fn last_of_each_shard(records: &[Record]) -> Vec<Durable> {
    let mut last = BTreeMap::new();
    for record in records {
        last.insert(record.shard, Position { epoch: record.epoch, seq: record.seq });
    }
    last.into_iter().map(|(shard, position)| Durable { shard, position }).collect()
}

/// The volume as the engine of one run sees it.
struct DiskJournal {
    disk: Arc<Disk>,
    run: NodeRun,
}

impl Journal for DiskJournal {
    fn append(&self, mut record: Record) -> Result<(), JournalError> {
        if self.disk.world.has(Mutation::LettersAreLost)
            && let RecordKind::Commit(Commit { rows, .. }) | RecordKind::Rows(rows) = &mut record.kind
        {
            rows.retain(|row| row.space != Space::DEAD_LETTER);
        }
        let mut state = self.disk.state.lock();
        let Some(tail) = state.tails.get_mut(&self.run.incarnation) else {
            return Err(JournalError::Closed);
        };
        if tail.len() >= self.disk.world.conditions().disk.queue && !self.disk.world.is_healed() {
            return Err(JournalError::Full { limit: tail.len() });
        }
        tail.push_back(record);
        drop(state);
        self.disk.appended.notify_waiters();
        Ok(())
    }

    fn load(&self, shard: Shard, actor: &ActorId) -> BoxFuture<'static, Result<StoredActor, JournalError>> {
        let (disk, run, actor) = (self.disk.clone(), self.run, actor.clone());
        // Checked when the engine asks: while it waits for the answer the shard may move on to a later epoch, whose
        // records are no business of a turn that can neither commit nor answer any more.
        let is_of_actor =
            |record: &Record| matches!(&record.kind, RecordKind::Commit(commit) if commit.actor == actor);
        if disk.tail_of(run).any(|record| is_of_actor(&record)) {
            disk.world.tell(Event::LoadedTooEarly(&actor));
        }
        async move {
            disk.world.sleep(0..4).await;
            Ok(disk.read(shard, &actor))
        }
        .boxed()
    }

    fn rows(
        &self,
        shard: Shard,
        range: RowRange,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(Bytes, Bytes)>, JournalError>> {
        let disk = self.disk.clone();
        async move {
            disk.world.sleep(0..4).await;
            if disk.world.has(Mutation::OutboxForgets) && range == RowRange::all(Space::OUTBOX) {
                return Ok(Vec::new());
            }
            let state = disk.state.lock();
            let records = state.log.iter().filter(|(_, record)| record.shard == shard);
            Ok(replay(records.flat_map(|(_, record)| record.rows()), &range, limit))
        }
        .boxed()
    }

    fn last(&self, shard: Shard) -> BoxFuture<'static, Result<Position, JournalError>> {
        let disk = self.disk.clone();
        async move {
            disk.world.sleep(0..3).await;
            let state = disk.state.lock();
            let last = state.log.iter().rev().find(|(_, record)| record.shard == shard);
            Ok(last.map_or_else(Position::default, |(_, record)| Position {
                epoch: record.epoch,
                seq: record.seq,
            }))
        }
        .boxed()
    }
}
