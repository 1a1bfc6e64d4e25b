//! A node's part in the cluster: feeds events to the protocol and carries out its effects.
//!
//! Its tasks, all spawned through `Env`:
//! - *watch*: pages of the map, as the register shows them, into [`ShardMap`];
//! - `membership`: registers this run, then shows it as present and learns who else is;
//! - `ownership`: entries of the map into the shards' owner machines;
//! - `writes`: what the coordinator's plan asks for;
//! - *phase*: tells when the node has become active.
//!
//! A task waits for changes and does nothing without one: an unchanged cluster writes nothing (I6).

mod membership;
mod ownership;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use greenroom_core::engine::Engine;
use greenroom_core::env::SharedEnv;
use greenroom_core::journal::Journal;
use greenroom_core::map::{NodeRun, Page};
use greenroom_core::retry::Backoff;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::ClusterError;
use crate::coordination::{Coordination, Peer, Versioned};
use crate::coordinator::Expected;
use crate::map::{ShardMap, View};
use crate::observed::{Observed, Watcher};
use crate::owner::Event;
use crate::shards::{Shards, Tally};

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
    /// The group that this node belongs to; `None`: it is a general one.
    pub group: Option<String>,
    /// How many members the first assignment waits for.
    pub expected: Expected,
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
    /// True once the register has this run, and not before.
    registered: Observed<bool>,
    pub(crate) phase: Observed<Phase>,
    failure: Observed<Option<ClusterError>>,
    /// Why registration does not come forward.
    waits_for: Observed<Option<String>>,
}

impl Driver {
    /// Registers this run and takes part from now on.
    pub fn start(config: DriverConfig) -> Self {
        config.shards.start(config.run, config.engine.clone(), config.journal.clone());
        let node = Arc::new(Node {
            map: ShardMap::new(config.shards.layout()),
            peers: Observed::default(),
            registered: Observed::default(),
            phase: Observed::new(Phase::Starting),
            failure: Observed::new(None),
            waits_for: Observed::new(None),
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

    /// What a node that is still starting waits for, if that is the register.
    pub fn waits_for(&self) -> Option<String> {
        self.node.waits_for.get()
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
        for shard in self.node.config.shards.layout().all().shards() {
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
        let pages = 0..self.config.shards.layout().pages();
        let mut pages =
            futures_util::stream::select_all(pages.map(|page| self.config.coordination.watch(page)));
        while let Some(page) = pages.next().await {
            if let Err(error) = self.learn(page) {
                self.fail(error);
                return;
            }
        }
    }

    /// Takes a page into the map, if it is of this map at all.
    fn learn(&self, page: Versioned<Page>) -> Result<(), ClusterError> {
        ClusterError::check_layout(&page.content, self.config.shards.layout())?;
        self.apply(page);
        Ok(())
    }

    /// Takes a page into the map if it is newer than the known one.
    fn apply(&self, page: Versioned<Page>) {
        if page.content.page == 0 {
            self.config.engine.learn_homes(&page.content.types);
        }
        self.map.apply(page);
    }

    async fn pause(&self, backoff: &mut Backoff) {
        tokio::time::sleep(backoff.next(self.config.env.random() as u64)).await;
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
