//! A node's part in the cluster: feeds events to the protocol and carries out its effects.
//!
//! Its tasks, all spawned through `Env`:
//! - *watch*: pages of the map, as the register shows them, into [`ShardMap`];
//! - *membership*: registers this run, then shows it as present and learns who else is;
//! - *owner*: entries of the map into the shards' owner machines;
//! - *coordinator*: writes what [`plan`] says;
//! - *phase*: tells when the node has become active.
//!
//! A task waits for changes and does nothing without one: an unchanged cluster writes nothing (I6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use greenroom_core::Shard;
use greenroom_core::engine::Engine;
use greenroom_core::env::SharedEnv;
use greenroom_core::journal::Journal;
use greenroom_core::map::{Member, NodeRun, Page};
use greenroom_core::retry::Backoff;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::ClusterError;
use crate::coordination::{Coordination, Peer, Version, Versioned, WriteError};
use crate::coordinator::{PageWrite, plan};
use crate::map::{ShardMap, View};
use crate::observed::{Observed, Watcher};
use crate::owner::Event;
use crate::registration::{Start, register};
use crate::shards::{Ask, Shards, Tally};

/// A map write that is not answered within this time has an unknown outcome (T_cas of the protocol).
const WRITE_ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// What a node takes part with.
pub struct DriverConfig {
    /// Time, tasks and randomness.
    pub env: SharedEnv,
    /// Runs the turns.
    pub engine: Arc<Engine>,
    /// Where commits go; it tells `shards` what is durable.
    pub journal: Arc<dyn Journal>,
    /// The register with the map.
    pub coordination: Arc<dyn Coordination>,
    /// The shards whose sink the journal was given.
    pub shards: Arc<Shards>,
    /// This run: the store's id and the incarnation, raised durably before.
    pub run: NodeRun,
    /// This node's name and addresses.
    pub peer: Peer,
    /// True if the store has records of any shard.
    pub store_has_data: bool,
    /// How many members the first assignment waits for: the cluster's `replicas`.
    pub expected_members: usize,
}

/// How far a node has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Its store is not registered yet.
    Starting,
    /// Registered; its shards are not all assigned and opened yet.
    Joining,
    /// Everything that the map gives it is served.
    Active,
    /// Takes no new calls and finishes the running turns.
    Draining,
    /// Serves nothing any more.
    Drained,
}

impl Phase {
    /// The name used in the admin service and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Joining => "Joining",
            Self::Active => "Active",
            Self::Draining => "Draining",
            Self::Drained => "Drained",
        }
    }
}

/// What a node tells about its place in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeState {
    /// How far it has come.
    pub phase: Phase,
    /// How many shards this run has taken, opening or serving.
    pub shards_owned: usize,
    /// How many of them it serves.
    pub shards_serving: usize,
}

/// Who is present, by name.
pub type Peers = BTreeMap<String, Peer>;

/// A node's part in the cluster. Dropping it ends its tasks; the shards are then served no better than after a crash,
/// so a planned stop calls [`Driver::drain`] first.
pub struct Driver {
    node: Arc<Node>,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// What the tasks share.
pub(crate) struct Node {
    pub(crate) config: DriverConfig,
    pub(crate) map: ShardMap,
    pub(crate) peers: Observed<Arc<Peers>>,
    pub(crate) phase: Observed<Phase>,
    failure: Observed<Option<ClusterError>>,
}

impl Driver {
    /// Registers this run and takes part from now on.
    pub fn start(config: DriverConfig) -> Self {
        config.shards.start(config.run, config.engine.clone(), config.journal.clone());
        let node = Arc::new(Node {
            map: ShardMap::new(config.shards.count()),
            peers: Observed::default(),
            phase: Observed::new(Phase::Starting),
            failure: Observed::new(None),
            config,
        });
        let env = &node.config.env;
        let tasks = vec![
            env.spawn(Box::pin(node.clone().watch())),
            env.spawn(Box::pin(node.clone().membership())),
            env.spawn(Box::pin(node.clone().own())),
            env.spawn(Box::pin(node.clone().coordinate())),
            env.spawn(Box::pin(node.clone().follow_phase())),
        ];
        Self { node, tasks: Mutex::new(tasks) }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The map as this node knows it.
    pub fn map(&self) -> &ShardMap {
        &self.node.map
    }

    /// Who is present.
    pub fn peers(&self) -> Arc<Peers> {
        self.node.peers.get()
    }

    /// Sees each change of who is present.
    pub fn watch_peers(&self) -> Watcher<Arc<Peers>> {
        self.node.peers.watch()
    }

    /// How far the node has come, and its counts.
    pub fn state(&self) -> NodeState {
        let Tally { owned, serving } = self.node.config.shards.tally().get();
        NodeState { phase: self.node.phase.get(), shards_owned: owned, shards_serving: serving }
    }

    /// Sees each change of the phase.
    pub fn watch_phase(&self) -> Watcher<Phase> {
        self.node.phase.watch()
    }

    /// Completes when everything that the map gives this node is served, or says why that will not happen.
    pub async fn when_active(&self) -> Result<(), ClusterError> {
        let mut phase = self.node.phase.watch();
        tokio::select! {
            biased;
            error = self.failed() => Err(error),
            phase = phase.wait_for(|phase| *phase >= Phase::Active) => match phase {
                Phase::Active => Ok(()),
                _ => Err(ClusterError::Stopped),
            },
        }
    }

    /// Completes only if the node cannot go on. The process is to end with this error.
    pub async fn failed(&self) -> ClusterError {
        self.node.failure.watch().wait_for(Option::is_some).await.unwrap_or(ClusterError::Stopped)
    }

    /// Takes no new calls, lets running turns end and their commits become durable, at most `timeout`; then gives up
    /// all shards and leaves. Returns how many turns were still running and were cancelled.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.node.reach(Phase::Draining);
        let cancelled = self.node.config.engine.drain(timeout).await;
        for shard in self.node.config.shards.count().shards() {
            let _ = self.node.config.shards.handle(shard, Event::Stopping);
        }
        self.node.reach(Phase::Drained);
        self.stop_tasks();
        cancelled
    }

    fn stop_tasks(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop_tasks();
    }
}

/// How a map write ended.
enum Settled {
    /// It landed.
    Written,
    /// A newer version is there: decide again. `maybe_ours` if the write may be what made it.
    Superseded { maybe_ours: bool },
}

impl Node {
    /// Phases are gone through in order, and none again.
    fn reach(&self, next: Phase) {
        self.phase.update(|phase| {
            let forward = next > *phase;
            *phase = next.max(*phase);
            forward
        });
    }

    fn fail(&self, error: ClusterError) {
        self.failure.update(|failure| {
            let first = failure.is_none();
            if first {
                tracing::error!(%error, "this node cannot take part in its cluster");
                *failure = Some(error);
            }
            first
        });
    }

    async fn watch(self: Arc<Self>) {
        let pages = 0..self.config.shards.count().pages();
        let mut pages =
            futures_util::stream::select_all(pages.map(|page| self.config.coordination.watch(page)));
        while let Some(page) = pages.next().await {
            let (found, asked) = (page.content.shards, self.config.shards.count());
            if found != asked {
                self.fail(ClusterError::OtherShardCount { found: found.get(), asked: asked.get() });
                return;
            }
            self.map.apply(page);
        }
    }

    async fn membership(self: Arc<Self>) {
        if let Err(error) = self.register().await {
            self.fail(error);
            return;
        }
        self.reach(Phase::Joining);
        let mut present = self.config.coordination.join(self.config.peer.clone());
        while let Some(peers) = present.next().await {
            let peers = peers.into_iter().map(|peer| (peer.name.clone(), peer)).collect();
            self.peers.set(Arc::new(peers));
        }
    }

    async fn register(&self) -> Result<(), ClusterError> {
        let me = Member {
            store: self.config.run.store,
            node: self.config.peer.name.clone(),
            incarnation: self.config.run.incarnation,
        };
        let mut start = Start { me, store_has_data: self.config.store_has_data, may_be_registered: false };
        loop {
            let page0 = self.page0().await;
            let content = match register(&page0.content, &start) {
                Ok(None) => return Ok(()),
                Ok(Some(content)) => content,
                Err(refused) => match self.newer_page0(page0.version).await {
                    true => continue,
                    false => return Err(refused.into()),
                },
            };
            match self.settle(PageWrite { base: page0.version, content }).await {
                Settled::Written => return Ok(()),
                Settled::Superseded { maybe_ours } => start.may_be_registered |= maybe_ours,
            }
        }
    }

    async fn page0(&self) -> Versioned<Page> {
        let view = self.map.watch().wait_for(|view| view.page(0).is_some()).await;
        view.page(0).expect("it was waited for").clone()
    }

    /// A watch may show an old page, and a start is not refused because of that: true if the register has a newer one.
    async fn newer_page0(&self, than: Version) -> bool {
        let mut backoff = Backoff::default();
        loop {
            match self.config.coordination.read(0).await {
                Ok(page) => {
                    self.map.apply(page);
                    return self.map.view().version(0) > than;
                }
                Err(_) => self.pause(&mut backoff).await,
            }
        }
    }

    async fn pause(&self, backoff: &mut Backoff) {
        tokio::time::sleep(backoff.next(self.config.env.random() as u64)).await;
    }

    /// Writes until the outcome is known: a timeout is not a failure, so the same write is repeated on the same base
    /// until a newer version is seen (R1). What is seen goes into the map.
    async fn settle(&self, write: PageWrite) -> Settled {
        let (number, base) = (write.content.page, write.base);
        let (mut backoff, mut maybe_ours) = (Backoff::default(), false);
        let mut views = self.map.watch();
        loop {
            let answer = self.config.coordination.write(number, base, write.content.clone());
            match tokio::time::timeout(WRITE_ANSWERED_WITHIN, answer).await {
                Ok(Ok(page)) => {
                    self.map.apply(page);
                    return Settled::Written;
                }
                Ok(Err(WriteError::Conflict(current))) => {
                    self.map.apply(*current);
                }
                Ok(Err(WriteError::Unknown(_))) | Err(_) => maybe_ours = true,
            }
            tokio::select! {
                biased;
                _ = views.wait_for(|view| view.version(number) > base) => return Settled::Superseded { maybe_ours },
                () = self.pause(&mut backoff) => {}
            }
        }
    }

    async fn coordinate(self: Arc<Self>) {
        let (mut views, mut peers) = (self.map.watch(), self.peers.watch());
        loop {
            let view = views.get();
            let present: BTreeSet<_> = peers.get().keys().cloned().collect();
            let writes = plan(&view, &present, self.config.expected_members, &self.config.peer.name);
            if writes.is_empty() {
                tokio::select! {
                    biased;
                    _ = views.changed() => {}
                    _ = peers.changed() => {}
                }
                continue;
            }
            join_all(writes.into_iter().map(|write| self.settle(write))).await;
        }
    }

    async fn own(self: Arc<Self>) {
        let mut views = self.map.watch();
        let mut done: BTreeMap<u16, Version> = BTreeMap::new();
        let mut waiting: BTreeSet<Shard> = BTreeSet::new();
        let mut backoff = Backoff::default();
        loop {
            let view = views.get();
            waiting.extend(self.take_entries(&view, &mut done));
            waiting = self.recover(std::mem::take(&mut waiting)).await;
            if waiting.is_empty() {
                backoff = Backoff::default();
            }
            tokio::select! {
                biased;
                _ = views.changed() => {}
                () = self.pause(&mut backoff), if !waiting.is_empty() => {}
            }
        }
    }

    /// Brings the entries of pages that are newer than the ones done to their machines. Returns the shards that wait
    /// for recovery.
    fn take_entries(&self, view: &View, done: &mut BTreeMap<u16, Version>) -> Vec<Shard> {
        let mut recover = Vec::new();
        for page in view.pages() {
            if done.insert(page.content.page, page.version) == Some(page.version) {
                continue;
            }
            for (shard, entry) in page.content.shard_range().map(Shard).zip(&page.content.entries) {
                recover.extend(self.answer(shard, Event::Entry(entry)));
            }
        }
        recover
    }

    /// Tells the machines where their logs end, so that they open. Returns those that the journal did not take yet.
    async fn recover(&self, shards: BTreeSet<Shard>) -> BTreeSet<Shard> {
        let last = async |shard| (shard, self.config.shards.last(shard).await);
        let mut again = BTreeSet::new();
        for (shard, last) in join_all(shards.into_iter().map(last)).await {
            match last {
                Ok(last) => again.extend(self.answer(shard, Event::Recovered(last))),
                Err(error) => self.fail(ClusterError::Store { shard, message: error.to_string() }),
            }
        }
        again
    }

    /// The shard, if it wants recovery.
    fn answer(&self, shard: Shard, event: Event<'_>) -> Option<Shard> {
        match self.config.shards.handle(shard, event) {
            Ask::Nothing => None,
            Ask::Recover => Some(shard),
            Ask::Fail(error) => {
                self.fail(error);
                None
            }
        }
    }

    async fn follow_phase(self: Arc<Self>) {
        let (mut views, mut tally) = (self.map.watch(), self.config.shards.tally());
        let mut phase = self.phase.watch();
        loop {
            let view = views.get();
            let serving = tally.get().serving;
            if phase.get() == Phase::Joining && self.serves_all_of(&view, serving) {
                self.reach(Phase::Active);
                return;
            }
            tokio::select! {
                biased;
                _ = views.changed() => {}
                _ = tally.changed() => {}
                _ = phase.changed() => {}
            }
        }
    }

    /// True if every shard has an owner and those of this store are served by this run.
    fn serves_all_of(&self, view: &View, serving: usize) -> bool {
        let mine: Vec<_> =
            view.entries().filter(|(_, entry)| entry.owner.store == self.config.run.store).collect();
        view.is_assigned()
            && mine.iter().all(|(_, entry)| entry.owner == self.config.run)
            && mine.len() == serving
    }
}
