//! The simulated nodes: each is the real engine, driver and router on a simulated disk, network and register.
//!
//! A node's volume stays; a *run* of the node begins with [`Nodes::start`] and ends with a crash, a drain, or because
//! the node cannot go on. Whatever ends it, a restart is the same: a new incarnation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use greenroom_cluster::coordinator::Expected;
use greenroom_cluster::registration::Refused;
use greenroom_cluster::{
    ClusterError, Driver, DriverConfig, MeshReply, MeshRequest, Network, Peer, Router, Shards,
};
use greenroom_core::engine::{Engine, EngineBuilder};
use greenroom_core::env::SharedEnv;
use greenroom_core::map::NodeRun;
use greenroom_core::{ShardLayout, StoreId};
use parking_lot::Mutex;

use crate::disk::{Crash, Disk};
use crate::executor::Owner;
use crate::mutation::Mutation;
use crate::network::{Cuts, NodeNetwork};
use crate::observer::Event;
use crate::register::Register;
use crate::world::{NodeEnv, World};

/// Registers the actor types of a node with its engine, at each start anew; the node's group is told.
pub type Types = Arc<dyn Fn(EngineBuilder, Option<&str>) -> EngineBuilder + Send + Sync>;

/// The nodes and what connects them.
pub struct Nodes {
    /// What they live in.
    pub world: Arc<World>,
    /// The register with the shard map.
    pub register: Register,
    /// The ways between them that are cut.
    pub cuts: Cuts,
    layout: ShardLayout,
    types: Types,
    nodes: Vec<Node>,
    runs: Mutex<u64>,
    /// For the planted mistake of mixed-up answers.
    earlier_answers: Mutex<BTreeMap<String, MeshReply>>,
}

struct Node {
    /// The group that it belongs to.
    group: Option<String>,
    disk: Arc<Disk>,
    running: Mutex<Option<Running>>,
    /// Runs that a planted mistake keeps alive.
    zombies: Mutex<Vec<Running>>,
    /// An operator has to look after it.
    given_up: AtomicBool,
}

/// One run of a node. A cheap clone.
#[derive(Clone)]
pub struct Running {
    /// What it lives in.
    pub world: Arc<World>,
    /// To whom its tasks belong.
    pub owner: Owner,
    /// Its store and incarnation.
    pub run: NodeRun,
    /// What its calls go through.
    pub router: Arc<Router>,
    /// Its part in the cluster.
    pub driver: Arc<Driver>,
}

impl Nodes {
    /// So many nodes with empty volumes, none of them started.
    pub fn new(world: &Arc<World>, nodes: usize, layout: impl Into<ShardLayout>, types: Types) -> Arc<Self> {
        Self::with_groups(world, nodes, &[], layout.into(), types)
    }

    /// So many general nodes, then so many of each group of the layout, in its order.
    pub fn with_groups(
        world: &Arc<World>,
        general: usize,
        of_groups: &[usize],
        layout: ShardLayout,
        types: Types,
    ) -> Arc<Self> {
        let of_groups = layout.groups().iter().zip(of_groups);
        let members =
            of_groups.flat_map(|(group, nodes)| std::iter::repeat_n(Some(group.name.to_string()), *nodes));
        let groups: Vec<_> = std::iter::repeat_n(None, general).chain(members).collect();
        let node = |(number, group)| Node {
            group,
            disk: Disk::format(world, number),
            running: Mutex::default(),
            zombies: Mutex::default(),
            given_up: AtomicBool::new(false),
        };
        Arc::new(Self {
            world: world.clone(),
            register: Register::new(world, &layout),
            cuts: Cuts::default(),
            layout,
            types,
            nodes: groups.into_iter().enumerate().map(node).collect(),
            runs: Mutex::new(0),
            earlier_answers: Mutex::default(),
        })
    }

    /// How many nodes there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The name of a node.
    pub fn name(&self, number: usize) -> String {
        match &self.nodes[number].group {
            None => format!("node-{number}"),
            Some(group) => {
                let before =
                    self.nodes[..number].iter().filter(|node| node.group.as_ref() == Some(group)).count();
                format!("{group}-{before}")
            }
        }
    }

    /// The node that has this store.
    ///
    /// # Panics
    /// If none has: stores are made with their nodes.
    pub fn number_of(&self, store: StoreId) -> usize {
        let number = self.nodes.iter().position(|node| node.disk.store() == store);
        number.expect("every store of a simulation belongs to a node")
    }

    /// How the shards of the cluster are divided.
    pub fn layout(&self) -> &ShardLayout {
        &self.layout
    }

    /// The run of this node, if it runs.
    pub fn running(&self, number: usize) -> Option<Running> {
        self.nodes.get(number)?.running.lock().clone()
    }

    /// The volume of this node.
    pub fn disk(&self, number: usize) -> &Disk {
        &self.nodes[number].disk
    }

    /// Starts the node if it does not run.
    pub fn start(self: &Arc<Self>, number: usize) {
        let node = &self.nodes[number];
        if node.running.lock().is_some() || node.given_up.load(Ordering::Relaxed) {
            return;
        }
        let (run, store_has_data) = node.disk.open();
        let owner = self.next_owner();
        self.world.tell(Event::Started);
        self.world.trace.add(format!("{} starts as incarnation {}", self.name(number), run.incarnation));
        let running = self.build(number, owner, run, store_has_data);
        *node.running.lock() = Some(running.clone());
        let (nodes, driver) = (self.clone(), running.driver);
        self.world.executor.spawn(
            owner,
            Box::pin(async move {
                let error = driver.failed().await;
                nodes.cannot_go_on(number, &error);
            }),
        );
    }

    fn next_owner(&self) -> Owner {
        let mut runs = self.runs.lock();
        *runs += 1;
        Owner::Run(*runs)
    }

    fn build(self: &Arc<Self>, number: usize, owner: Owner, run: NodeRun, store_has_data: bool) -> Running {
        let world = self.world.clone();
        let most = world.conditions().clock_offset_ms;
        let clock_offset_ms = world.draw(|random| random.i64(-most..=most));
        let env: SharedEnv = Arc::new(NodeEnv { world: world.clone(), owner, clock_offset_ms });
        let group = self.nodes[number].group.clone();
        let engine = (self.types)(Engine::builder(env.clone(), &self.layout), group.as_deref()).build();
        let shards = Shards::new(&self.layout);
        let nodes = self.clone();
        let crash: Crash = Arc::new(move || nodes.crash_and_restart(number));
        let journal = self.nodes[number].disk.journal(run, &*env, shards.sink(), crash);
        let driver = Arc::new(Driver::start(DriverConfig {
            env,
            engine,
            journal,
            coordination: Arc::new(self.register.clone()),
            shards,
            run,
            peer: Peer { name: self.name(number), mesh_address: number.to_string(), ..Peer::default() },
            store_has_data,
            group,
            expected: self.expected(),
        }));
        let network: Arc<dyn Network> =
            Arc::new(NodeNetwork { nodes: Arc::downgrade(self), from: number, run });
        Running { world, owner, run, router: Router::new(&driver, network), driver }
    }

    fn expected(&self) -> Expected {
        let count =
            |group: Option<&str>| self.nodes.iter().filter(|node| node.group.as_deref() == group).count();
        let names = self.layout.groups().iter().map(|group| group.name.as_str());
        Expected {
            general: count(None),
            groups: names.map(|name| (name.to_owned(), count(Some(name)))).collect(),
        }
    }

    /// Ends the run of this node at once. Says whether there was one.
    pub fn crash(&self, number: usize) -> bool {
        let node = &self.nodes[number];
        let Some(running) = node.running.lock().take() else { return false };
        self.world.tell(Event::Ended);
        self.world.trace.add(format!("{} crashes", self.name(number)));
        if self.world.has(Mutation::TwoRunsOnOneStore) && !self.world.is_healed() {
            node.zombies.lock().push(running);
            return true;
        }
        self.bury(node, running);
        true
    }

    fn bury(&self, node: &Node, running: Running) {
        self.world.executor.kill(running.owner);
        node.disk.crash(running.run);
    }

    /// Crashes the node and starts it again after a while.
    pub fn crash_and_restart(self: &Arc<Self>, number: usize) {
        if !self.crash(number) {
            return;
        }
        let nodes = self.clone();
        self.world.spawn(async move {
            nodes.world.sleep(0..1_500).await;
            nodes.start(number);
        });
    }

    /// The node has said that it cannot take part. A refusal because of an old page passes with the next start. A volume
    /// that was set back stays refused: each start raises its incarnation, so enough of them would make it look new.
    fn cannot_go_on(self: &Arc<Self>, number: usize, error: &ClusterError) {
        self.world.trace.add(format!("{} cannot go on: {error}", self.name(number)));
        self.world.tell(Event::CannotGoOn(error));
        if matches!(error, ClusterError::Refused(Refused::OldIncarnation { .. })) {
            self.nodes[number].given_up.store(true, Ordering::Relaxed);
            self.crash(number);
        } else {
            self.crash_and_restart(number);
        }
    }

    /// Stops the node as SIGTERM does, its turns given `timeout` to end. What comes `then` is told when it has drained:
    /// its process ends, and may be started again.
    pub fn drain(
        self: &Arc<Self>,
        number: usize,
        timeout: Duration,
        then: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let Some(running) = self.running(number) else { return };
        self.world.tell(Event::Drains);
        self.world.trace.add(format!("{} drains", self.name(number)));
        let nodes = self.clone();
        self.world.executor.spawn(
            running.owner,
            Box::pin(async move {
                let begun = tokio::time::Instant::now();
                running.driver.drain(timeout).await;
                nodes.world.trace.add(format!("{} has drained", nodes.name(number)));
                // What its time was too short for is lost as in a crash.
                if begun.elapsed() < timeout {
                    nodes.world.tell(Event::Drained);
                }
                then(&nodes);
            }),
        );
    }

    /// Lets the node stand still, as after SIGSTOP, and go on after a while.
    pub fn pause(self: &Arc<Self>, number: usize, time: Duration) {
        let Some(running) = self.running(number) else { return };
        self.world.tell(Event::Paused);
        self.world.trace.add(format!("{} stands still for {time:?}", self.name(number)));
        self.world.executor.pause(running.owner);
        let nodes = self.clone();
        self.world.spawn(async move {
            tokio::time::sleep(time).await;
            nodes.world.trace.add(format!("{} goes on", nodes.name(number)));
            nodes.world.executor.resume(running.owner);
        });
    }

    /// Ends what faults have left behind, but starts no node: every way is open, nothing is slow, away or stands still.
    pub fn mend(&self) {
        self.cuts.mend_all();
        self.register.set_away(false);
        for (number, node) in self.nodes.iter().enumerate() {
            node.disk.set_slow(false);
            self.running(number).iter().for_each(|running| self.world.executor.resume(running.owner));
        }
    }

    /// Ends what faults have left behind, and starts the nodes that do not run.
    pub fn heal(self: &Arc<Self>) {
        self.mend();
        for (number, node) in self.nodes.iter().enumerate() {
            let zombies = std::mem::take(&mut *node.zombies.lock());
            zombies.into_iter().for_each(|zombie| self.bury(node, zombie));
            self.start(number);
        }
    }

    /// Ends all runs without any trace: the simulation is over.
    pub fn dismantle(&self) {
        for node in &self.nodes {
            let running = node.running.lock().take();
            let runs = running.into_iter().chain(std::mem::take(&mut *node.zombies.lock()));
            runs.for_each(|run| self.world.executor.kill(run.owner));
        }
        self.world.executor.clear();
    }

    /// The answer that an earlier call of this method of this actor got.
    pub(crate) fn mix_up(&self, request: &MeshRequest, answer: MeshReply) -> MeshReply {
        let key = format!("{}.{}", request.call.target, request.call.method);
        self.earlier_answers.lock().insert(key, answer.clone()).unwrap_or(answer)
    }
}
