//! One engine that serves every shard, over a journal whose disk is as slow as the test says.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::actor::{Actor, ActorMethods};
use greenroom_core::call::{Call, CallContext, CallResult, Chain};
use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::engine::{Delivery, Engine, EngineBuilder};
use greenroom_core::env::{Env, SharedEnv, SystemEnv};
use greenroom_core::error::CallError;
use greenroom_core::identity::{ActorId, CallId, Epoch, Incarnation, Seq, Shard, ShardCount, StoreId};
use greenroom_core::journal::{Journal, JournalError, Position, Record, RecordKind, StoredActor};
use greenroom_core::map::NodeRun;
use greenroom_core::program::Program;
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::rows::{RowRange, Space, replay};
use greenroom_core::shard::OwnedShard;
use greenroom_core::transport::Transport;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant};

const SHARDS: u16 = 8;

/// The calendar time at which every disk is new, milliseconds since 1970.
#[allow(dead_code, reason = "not every test looks at the calendar")]
pub(crate) const BEGINNING_UNIX_MS: u64 = 1_700_000_000_000;

/// A journal in memory. Records become durable when [`Node::sync`] says so; rows are read from durable ones only.
pub(crate) struct Disk {
    records: Mutex<Vec<Record>>,
    durable: Mutex<BTreeMap<Shard, Seq>>,
    full: AtomicBool,
    rows_read: AtomicUsize,
    read_time: Mutex<Duration>,
    new_at: Instant,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            records: Mutex::default(),
            durable: Mutex::default(),
            full: AtomicBool::new(false),
            rows_read: AtomicUsize::new(0),
            read_time: Mutex::default(),
            new_at: Instant::now(),
        }
    }
}

#[allow(dead_code, reason = "each test uses some of it")]
impl Disk {
    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.records.lock().len()
    }

    /// Everything that was ever appended.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.lock().clone()
    }

    /// From now on reading rows takes so long.
    pub(crate) fn set_read_time(&self, time: Duration) {
        *self.read_time.lock() = time;
    }

    /// From now on it takes nothing more, or does again.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// What a crash leaves that only kept the first records.
    pub(crate) fn after_crash(&self, kept: usize) -> Arc<Self> {
        let records = self.records.lock().iter().take(kept).cloned().collect();
        Arc::new(Self { records: Mutex::new(records), new_at: self.new_at, ..Self::default() })
    }

    pub(crate) fn commits(&self) -> usize {
        self.records.lock().iter().filter(|record| matches!(record.kind, RecordKind::Commit(_))).count()
    }

    /// The state in the last commit.
    pub(crate) fn last_state(&self) -> Vec<u8> {
        let records = self.records.lock();
        let mut states = records.iter().rev().filter_map(|record| match &record.kind {
            RecordKind::Commit(commit) => Some(commit.state.to_vec()),
            _ => None,
        });
        states.next().unwrap()
    }

    /// How many rows have been read so far.
    pub(crate) fn rows_read(&self) -> usize {
        self.rows_read.load(Ordering::Relaxed)
    }

    /// The disk as a power cut leaves it: with what was durable.
    pub(crate) fn after_power_cut(&self) -> Arc<Self> {
        let mut records = self.records();
        records.retain(|record| self.is_durable(record));
        Arc::new(Self { records: Mutex::new(records), new_at: self.new_at, ..Self::default() })
    }

    fn is_durable(&self, record: &Record) -> bool {
        self.durable.lock().get(&record.shard).is_some_and(|durable| record.seq <= *durable)
    }

    pub(crate) fn durable(&self, owned: &OwnedShard, seq: Seq) {
        self.durable.lock().insert(owned.shard(), seq);
        owned.gate().advance(seq);
    }
}

impl Journal for Disk {
    fn append(&self, record: Record) -> Result<(), JournalError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(JournalError::Full { limit: 0 });
        }
        self.records.lock().push(record);
        Ok(())
    }

    fn load(&self, shard: Shard, actor: &ActorId) -> BoxFuture<'static, Result<StoredActor, JournalError>> {
        let mut stored = StoredActor::default();
        for record in self.records.lock().iter().filter(|record| record.shard == shard) {
            if let RecordKind::Commit(commit) = &record.kind
                && commit.actor == *actor
            {
                stored.state = Some(commit.state.clone());
                stored.calls.extend(commit.calls().map(|call| (record.seq, call.clone())));
            }
        }
        std::future::ready(Ok(stored)).boxed()
    }

    fn rows(
        &self,
        shard: Shard,
        range: RowRange,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(Bytes, Bytes)>, JournalError>> {
        let records = self.records.lock();
        let records = records.iter().filter(|record| record.shard == shard && self.is_durable(record));
        let rows = replay(records.flat_map(|record| record.rows()), &range, limit);
        self.rows_read.fetch_add(rows.len(), Ordering::Relaxed);
        let time = *self.read_time.lock();
        async move {
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
            Ok(rows)
        }
        .boxed()
    }

    fn last(&self, shard: Shard) -> BoxFuture<'static, Result<Position, JournalError>> {
        let records = self.records.lock();
        let last = records.iter().rev().find(|record| record.shard == shard);
        let last = last.map(|record| Position { epoch: record.epoch, seq: record.seq }).unwrap_or_default();
        std::future::ready(Ok(last)).boxed()
    }
}

/// A calendar that goes with the runtime's clock, which a test can stop, and on from node to node.
struct Calendar {
    new_at: Instant,
}

impl Env for Calendar {
    fn unix_ms(&self) -> u64 {
        BEGINNING_UNIX_MS + u64::try_from(self.new_at.elapsed().as_millis()).unwrap()
    }

    fn random(&self) -> u128 {
        SystemEnv.random()
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) -> AbortHandle {
        SystemEnv.spawn(task)
    }
}

/// The engine as a transport: every shard is here.
struct Here {
    engine: Arc<Engine>,
    env: SharedEnv,
}

impl Transport for Here {
    fn call(&self, call: Call) -> BoxFuture<'static, CallResult> {
        match self.engine.deliver(call) {
            Delivery::Here(outcome) => outcome,
            Delivery::NotServed(_) => {
                std::future::ready(Err(CallError::Unavailable("not served here".into()))).boxed()
            }
        }
    }

    fn engine(&self) -> Option<&Arc<Engine>> {
        Some(&self.engine)
    }

    fn env(&self) -> &SharedEnv {
        &self.env
    }
}

/// A node without a cluster.
pub(crate) struct Node {
    pub(crate) engine: Arc<Engine>,
    pub(crate) disk: Arc<Disk>,
    transport: Arc<dyn Transport>,
    program: Program,
    shards: Mutex<BTreeMap<Shard, Arc<OwnedShard>>>,
}

impl Node {
    pub(crate) fn new<A: ActorMethods>() -> Self {
        Self::over::<A>(Arc::default())
    }

    /// A node whose disk has been used before: every shard opens at the next epoch.
    pub(crate) fn over<A: ActorMethods>(disk: Arc<Disk>) -> Self {
        Self::built::<A>(disk, |engine| engine)
    }

    /// A new node whose engine is built with something more.
    pub(crate) fn with<A: ActorMethods>(build: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::built::<A>(Arc::default(), build)
    }

    /// A node over a disk that has been used before, whose engine is built with something more.
    pub(crate) fn over_with<A: ActorMethods>(
        disk: Arc<Disk>,
        build: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        Self::built::<A>(disk, build)
    }

    fn built<A: ActorMethods>(disk: Arc<Disk>, build: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let env: SharedEnv = Arc::new(Calendar { new_at: disk.new_at });
        let count = ShardCount::new(SHARDS).unwrap();
        let engine = build(Engine::builder(env.clone(), count).register::<A>()).build();
        let transport: Arc<dyn Transport> = Arc::new(Here { engine: engine.clone(), env });
        engine.set_transport(Arc::downgrade(&transport));
        let program = Program::new(transport.clone());
        let node = Self { engine, disk, transport, program, shards: Mutex::default() };
        for shard in count.shards() {
            node.open(shard);
        }
        node
    }

    fn open(&self, shard: Shard) {
        let last = self.disk.last(shard).now_or_never().unwrap().unwrap();
        let run = NodeRun { store: StoreId(uuid::Uuid::nil()), incarnation: Incarnation(1) };
        let (owned, open) =
            OwnedShard::open(shard, Epoch(last.epoch.0 + 1), run, last, self.disk.clone()).unwrap();
        self.disk.durable(&owned, open);
        self.engine.serve(owned.clone());
        self.shards.lock().insert(shard, owned);
    }

    /// Every shard is given up as a node does that stops or whose shards move, and opened again at the next epoch.
    #[allow(dead_code, reason = "not every test moves")]
    pub(crate) fn move_all(&self) {
        let shards: Vec<_> = self.shards.lock().keys().copied().collect();
        shards.into_iter().for_each(|shard| self.move_shard(shard));
    }

    /// The same with one shard.
    pub(crate) fn move_shard(&self, shard: Shard) {
        let owned = self.shards.lock().remove(&shard).unwrap();
        owned.close();
        self.engine.step_down(shard);
        let last = self.disk.last(shard).now_or_never().unwrap().unwrap();
        self.disk.durable(&owned, last.seq);
        self.open(shard);
    }

    /// Every shard is lost to another node, and the engine has not been told yet.
    pub(crate) fn lose_all(&self) {
        self.shards.lock().values().for_each(|owned| {
            owned.close();
        });
    }

    /// Everything that was appended becomes durable.
    pub(crate) fn sync(&self) {
        for owned in self.shards.lock().values() {
            self.disk.durable(owned, owned.last().unwrap_or(Seq(0)));
        }
    }

    /// Everything of this shard that was appended becomes durable.
    pub(crate) fn sync_shard(&self, shard: Shard) {
        let owned = self.shards.lock()[&shard].clone();
        self.disk.durable(&owned, owned.last().unwrap_or(Seq(0)));
    }

    /// The disk is as fast as memory from now on.
    pub(crate) fn sync_always(self: &Arc<Self>) {
        let node = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(node) = node.upgrade() {
                node.sync();
                drop(node);
                // A millisecond of real or of virtual time: a paused clock must be able to go on.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    /// The durable rows of a space, of all shards.
    pub(crate) async fn rows(&self, space: Space) -> Vec<(Bytes, Bytes)> {
        let mut rows = Vec::new();
        for shard in ShardCount::new(SHARDS).unwrap().shards() {
            rows.extend(self.disk.rows(shard, RowRange::all(space), usize::MAX).await.unwrap());
        }
        rows
    }

    pub(crate) fn actor<A: Actor>(&self, key: &str) -> A::Ref {
        ActorRef::new(self.origin(), key).into()
    }

    /// A program that asks this node.
    pub(crate) fn origin(&self) -> Origin {
        self.program.origin()
    }

    /// A call by name with JSON.
    pub(crate) async fn call_json(
        &self,
        target: &str,
        method: &str,
        arguments: &str,
    ) -> Result<String, CallError<Payload>> {
        let data = Bytes::copy_from_slice(arguments.as_bytes());
        let arguments = Payload { content_type: ContentType::Json, data };
        let reply = self.call_by_name(CallId(SystemEnv.random()), target, method, arguments).await?;
        Ok(String::from_utf8(reply.data.into()).unwrap())
    }

    /// A call by name with this id, whatever the form of its arguments.
    pub(crate) async fn call_by_name(
        &self,
        id: CallId,
        target: &str,
        method: &str,
        arguments: Payload,
    ) -> CallResult {
        let context = CallContext {
            id,
            deadline: Instant::now() + Duration::from_secs(10),
            chain: Chain::default(),
            request: Default::default(),
        };
        let target = target
            .parse()
            .map_err(|e: greenroom_core::identity::IdentityError| CallError::Invalid(e.to_string()))?;
        let call = Call { target, method: method.into(), arguments, context, delivery: None };
        self.transport.call(call).await
    }
}
