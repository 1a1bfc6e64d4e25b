//! A simulated test: what the cluster is made of, which seeds are run, and what is said when one fails.

use std::error::Error;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::actor::ActorMethods;
use greenroom_core::workflow::Workflow;
use greenroom_core::{ShardCount, ShardGroup, ShardLayout};
use greenroom_testing::executor::Step;
use greenroom_testing::nodes::Types;
use greenroom_testing::{Nodes, World};

use super::{Cluster, Result, seeds};

/// The body of a test that has waited so long, of virtual time, waits for something that never comes.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// How many lines of the history a failure is shown with.
const TAIL: usize = 50;

/// A simulated cluster to be: says what it is made of, then runs a test in it.
#[derive(Clone)]
pub struct Simulation {
    types: Types,
    nodes: usize,
    shards: u16,
    /// The groups: name and nodes.
    groups: Vec<(String, usize)>,
    seeds: Range<u64>,
}

/// What happened in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// A line per event, with its virtual time in seconds.
    pub events: Vec<String>,
    /// A hash over the events and over the order in which tasks ran. Two runs of one seed have the same.
    pub hash: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulation {
    /// Three nodes without actor types, and seed 0.
    pub fn new() -> Self {
        Self { types: Arc::new(|engine, _| engine), nodes: 3, shards: 16, groups: Vec::new(), seeds: 0..1 }
    }

    /// The nodes serve this actor type.
    pub fn actor<A: ActorMethods>(self) -> Self {
        let before = self.types;
        Self { types: Arc::new(move |engine, group| before(engine, group).register::<A>()), ..self }
    }

    /// The nodes of this group serve this actor type, and no other nodes do.
    pub fn actor_on<A: ActorMethods>(self, group: &str) -> Self {
        let (before, only) = (self.types, group.to_owned());
        let types: Types = Arc::new(move |engine, group| match before(engine, group) {
            engine if group == Some(&*only) => engine.register::<A>(),
            engine => engine,
        });
        Self { types, ..self }
    }

    /// The nodes serve this workflow.
    pub fn workflow<W: Workflow>(self) -> Self {
        let before = self.types;
        Self { types: Arc::new(move |engine, group| before(engine, group).workflow::<W>()), ..self }
    }

    /// So many general nodes, `node-0` and so on; the default is 3.
    pub fn nodes(self, nodes: usize) -> Self {
        assert!(nodes > 0, "a cluster without nodes serves nothing; say at least 1");
        Self { nodes, ..self }
    }

    /// So many shards; the default is 16. A real cluster has 1,024, which a test seldom needs and waits longer for.
    pub fn shards(self, shards: u16) -> Self {
        Self { shards, ..self }
    }

    /// And a group of so many nodes, for types that are pinned to it: of the group `gpu` they are `gpu-0` and so on. It has
    /// shards of its own, as many as [`shards`](Self::shards) says.
    pub fn group(mut self, name: &str, nodes: usize) -> Self {
        assert!(nodes > 0, "a group without nodes serves nothing; say at least 1");
        self.groups.push((name.to_owned(), nodes));
        self
    }

    /// This seed only.
    pub fn seed(self, seed: u64) -> Self {
        Self { seeds: seed..seed.saturating_add(1), ..self }
    }

    /// The seeds from 0 on, so many: each draws other orders, delays and losses, and the test must pass with all.
    pub fn seeds(self, seeds: u64) -> Self {
        Self { seeds: 0..seeds, ..self }
    }

    /// Runs the test once per seed, each time in a new cluster whose nodes are all active.
    ///
    /// The environment variable `GREENROOM_SEED` runs that seed only, `GREENROOM_SEEDS` so many from the first one on.
    ///
    /// # Panics
    /// If the body panics or returns an error; the seed, how to replay it and the end of its history are printed.
    pub fn run(&self, body: impl AsyncFn(Cluster) -> Result) {
        for seed in seeds::chosen(self.seeds.clone()) {
            self.history(seed, &body);
        }
    }

    /// Runs the test once and tells what happened: for tests that compare runs.
    ///
    /// # Panics
    /// As [`run`](Self::run) does.
    pub fn history(&self, seed: u64, body: impl AsyncFn(Cluster) -> Result) -> History {
        assert!(
            tokio::runtime::Handle::try_current().is_err(),
            "a simulation has a runtime and a clock of its own; write #[test] instead of #[tokio::test]"
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
        let entered = runtime.enter();
        let world = World::new(seed, Arc::new(()), None);
        let of_groups: Vec<_> = self.groups.iter().map(|(_, nodes)| *nodes).collect();
        let nodes = Nodes::with_groups(&world, self.nodes, &of_groups, self.layout(), self.types.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(live(&nodes, &body))));
        // What is left over would keep itself in memory; some of it starts tasks when it is dropped.
        let leftovers = catch_unwind(AssertUnwindSafe(|| nodes.dismantle()));
        drop(entered);
        let (events, hash) = world.trace.read();
        if let Err(panic) = outcome.and(leftovers) {
            let tail = events[events.len().saturating_sub(TAIL)..].join("\n");
            eprintln!("\nthe end of the history:\n{tail}\n\n{}\n", seeds::replay(seed));
            resume_unwind(panic);
        }
        History { events, hash }
    }

    fn layout(&self) -> ShardLayout {
        let shards = ShardCount::new(self.shards).expect("a cluster has at least one shard");
        let groups = self.groups.iter().map(|(name, _)| ShardGroup { name: name.into(), shards });
        ShardLayout::new(shards, groups).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Starts the cluster and lives through the test.
async fn live(nodes: &Arc<Nodes>, body: impl AsyncFn(Cluster) -> Result) {
    let cluster = Cluster::new(nodes);
    let main = async {
        cluster.start_all().await;
        body(cluster.clone()).await
    };
    let world = &nodes.world;
    let mut waits_since = world.elapsed();
    let mut broken = None;
    let step = |step| {
        match step {
            Step::Main => waits_since = world.elapsed(),
            Step::Polled(task) => world.trace.polled(task.number()),
            Step::Panicked(message) => broken = Some(format!("a task of a node panicked: {message}")),
            Step::Idle => {}
        }
        if world.elapsed() > waits_since + LONGEST_WAIT {
            broken = Some(format!(
                "the test waits since {waits_since:?} for something that never comes; time passes with `advance`"
            ));
        }
        broken.is_some()
    };
    match world.executor.run(main, step).await {
        Some(Ok(())) => {}
        Some(Err(error)) => panic!("the test returned an error: {}", with_causes(&*error)),
        None => panic!("{}", broken.unwrap_or_default()),
    }
}

fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
