//! The simulated cluster as a test sees it: call actors, break things, let time pass, look where an actor is.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use greenroom_client::Client;
use greenroom_core::actor::Actor;
use greenroom_core::transport::Transport;
use greenroom_core::workflow::{Instance, Workflow, WorkflowRef};
use greenroom_core::{ActorId, ActorType, Topic};
use greenroom_testing::{Conditions, Nodes};

use super::gateways;

/// How long the running turns of a node that is stopped may take, as in a pod.
const DRAIN: Duration = Duration::from_secs(30);
/// How long answers that are on their way may still take after that.
const ANSWERS_LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// Virtual time passes in steps of at most this.
const ADVANCE_STEP: Duration = Duration::from_hours(1);
/// Within this virtual time a whole cluster is active, unless something is wrong.
const ACTIVE_WITHIN: Duration = Duration::from_secs(60);

/// A simulated cluster. A cheap clone of one shared cluster.
///
/// Nodes are named `node-0`, `node-1` and so on; a name that no node has is a panic that lists those there are.
#[derive(Clone)]
pub struct Cluster {
    nodes: Arc<Nodes>,
    /// One for all references, as in a program: it keeps messages to one actor in their order.
    client: Client,
}

/// Calls.
impl Cluster {
    /// A typed reference to an actor, as a client outside the cluster has it. Its calls go through any node, and are
    /// repeated, with the same call id, while nobody can serve them, until their deadline.
    pub fn actor<A: Actor>(&self, key: impl AsRef<str>) -> A::Ref {
        self.client.actor::<A>(key)
    }

    /// A reference to a workflow, as a client outside the cluster has it.
    pub fn workflow<W: Workflow>(&self, key: impl AsRef<str>) -> WorkflowRef<W> {
        self.client.workflow::<W>(key)
    }

    /// A topic, as a client outside the cluster has it.
    pub fn topic<T>(&self, name: impl AsRef<str>) -> Topic<T> {
        self.client.topic(name)
    }

    /// A client of this cluster, for code that is given one.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client that knows this node only.
    pub fn client_of(&self, node: &str) -> Client {
        gateways::client(&self.nodes, Some(self.number(node)))
    }
}

/// What nodes go through.
impl Cluster {
    /// Ends a node as SIGKILL does: its memory is gone, its store is kept. Of what was not synced yet any first part may
    /// be kept, too; nothing of it had been acknowledged. The node stays down until it is restarted.
    pub fn kill(&self, node: &str) {
        self.nodes.crash(self.number(node));
    }

    /// Starts a node on its store; one that still runs is killed first. Returns at once: calls wait until it serves, and
    /// so does [`when_active`](Self::when_active).
    pub fn restart(&self, node: &str) {
        let number = self.number(node);
        self.nodes.crash(number);
        self.nodes.start(number);
    }

    /// Stops a node as SIGTERM does: it takes no new calls, finishes the running turns and ends.
    pub async fn stop(&self, node: &str) {
        let (report, ended) = tokio::sync::oneshot::channel();
        let number = self.number(node);
        self.nodes.drain(number, DRAIN, move |_| {
            let _ = report.send(());
        });
        // An error: the node did not run, or was killed meanwhile.
        if ended.await.is_ok() {
            tokio::time::sleep(ANSWERS_LEAVE_WITHIN).await;
            self.nodes.crash(number);
        }
    }

    /// Lets a node stand still, as after SIGSTOP, and go on after `time`.
    pub fn pause(&self, node: &str, time: Duration) {
        self.nodes.pause(self.number(node), time);
    }

    /// Whether a node runs.
    pub fn is_running(&self, node: &str) -> bool {
        self.nodes.running(self.number(node)).is_some()
    }

    /// Completes when every node that runs serves all its shards.
    ///
    /// # Panics
    /// If that takes more than a minute of virtual time.
    pub async fn when_active(&self) {
        let running: Vec<_> =
            (0..self.nodes.size()).filter_map(|number| self.nodes.running(number)).collect();
        for node in running {
            match tokio::time::timeout(ACTIVE_WITHIN, node.driver.when_active()).await {
                Ok(outcome) => outcome.unwrap_or_else(|error| panic!("a node cannot take part: {error}")),
                Err(_) => panic!("a node is not active within {ACTIVE_WITHIN:?}: {:?}", node.driver.state()),
            }
        }
    }
}

/// What goes wrong between nodes, and with disks and the register.
impl Cluster {
    /// Cuts these two groups of nodes off from each other, both ways. Clients outside still reach both.
    pub fn partition(&self, one: &[&str], other: &[&str]) {
        self.nodes.world.trace.add(format!("partition: {one:?} and {other:?}"));
        for one in one.iter().map(|node| self.number(node)) {
            for other in other.iter().map(|node| self.number(node)) {
                self.nodes.cuts.cut(one, other);
                self.nodes.cuts.cut(other, one);
            }
        }
    }

    /// From now on this share of all messages is lost, requests and answers, between nodes and to clients.
    pub fn drop_messages(&self, share: f64) {
        self.change(format!("{share} of the messages are lost"), |now| now.network.lose = share);
    }

    /// From now on this share of all requests is delivered twice.
    pub fn duplicate_messages(&self, share: f64) {
        self.change(format!("{share} of the requests come twice"), |now| now.network.duplicate = share);
    }

    /// From now on a message takes up to `most`; they overtake each other.
    pub fn delay_messages(&self, most: Duration) {
        self.change(format!("messages take up to {most:?}"), |now| now.delay_messages(most));
    }

    /// From now on each sync of this node's disk takes up to 400 ms.
    pub fn slow_disk(&self, node: &str) {
        self.nodes.world.trace.add(format!("the disk of {node} is slow"));
        self.nodes.disk(self.number(node)).set_slow(true);
    }

    /// From now on the register with the shard map does not answer, as in an outage of the Kubernetes API server.
    pub fn lose_register(&self) {
        self.nodes.world.trace.add("the register is away");
        self.nodes.register.set_away(true);
    }

    /// Ends partitions, losses, delays, slow disks, pauses and the register's outage. Nodes that were killed stay down.
    pub fn heal(&self) {
        self.change("everything heals".into(), |now| *now = Conditions::GOOD);
        self.nodes.mend();
    }
}

/// Time and chance.
impl Cluster {
    /// Lets virtual time pass, and everything happen that is due on the way. It costs as much real time as that takes.
    pub async fn advance(&self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        // In steps, because a test that waits for very long is taken for one that hangs.
        while tokio::time::Instant::now() < end {
            tokio::time::sleep_until(end.min(tokio::time::Instant::now() + ADVANCE_STEP)).await;
        }
    }

    /// The virtual time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.nodes.world.elapsed()
    }

    /// A number that the seed decides.
    pub fn random(&self, range: Range<u64>) -> u64 {
        self.nodes.world.draw(|random| random.u64(range))
    }
}

/// Where things are.
impl Cluster {
    /// The names of all nodes, whether they run or not.
    pub fn nodes(&self) -> Vec<String> {
        (0..self.nodes.size()).map(|number| self.nodes.name(number)).collect()
    }

    /// The node that owns an actor by the shard map: where it lives, or would if it were called. It may be down.
    ///
    /// # Panics
    /// If the type is local or stateless: its actors live on every node.
    pub fn node_of<A: Actor>(&self, key: impl AsRef<str>) -> String {
        assert!(
            A::OPTIONS.is_sharded(),
            "{} lives on no one node; call the one of a node through client_of(node)",
            A::TYPE
        );
        let shard = id::<A>(key.as_ref()).shard(self.nodes.layout().home(A::OPTIONS.home));
        let owner = self.nodes.register.owner(shard).expect("the test began when every shard had an owner");
        self.nodes.name(self.nodes.number_of(owner))
    }

    /// The node that owns a workflow by the shard map: where its function runs, if it is to run.
    pub fn node_of_workflow<W: Workflow>(&self, key: impl AsRef<str>) -> String {
        self.node_of::<Instance<W>>(key)
    }

    /// The node on which an actor is in memory; `None` if it is on none.
    pub fn active_on<A: Actor>(&self, key: impl AsRef<str>) -> Option<String> {
        let actor = id::<A>(key.as_ref());
        let has_it = |number: &usize| {
            let node = self.nodes.running(*number);
            node.is_some_and(|node| {
                node.router.engine().is_some_and(|engine| engine.placement(&actor).is_some())
            })
        };
        (0..self.nodes.size()).find(has_it).map(|number| self.nodes.name(number))
    }
}

impl Cluster {
    pub(super) fn new(nodes: &Arc<Nodes>) -> Self {
        Self { nodes: nodes.clone(), client: gateways::client(nodes, None) }
    }

    pub(super) async fn start_all(&self) {
        (0..self.nodes.size()).for_each(|number| self.nodes.start(number));
        self.when_active().await;
    }

    fn change(&self, event: String, change: impl FnOnce(&mut Conditions)) {
        self.nodes.world.trace.add(event);
        self.nodes.world.set_conditions(change);
    }

    fn number(&self, node: &str) -> usize {
        let number = (0..self.nodes.size()).find(|number| self.nodes.name(*number) == node);
        number.unwrap_or_else(|| panic!("no node is named {node:?}; there are {}", self.nodes().join(", ")))
    }
}

fn id<A: Actor>(key: &str) -> ActorId {
    let id = ActorType::new(A::TYPE).and_then(|actor_type| ActorId::new(actor_type, key));
    id.unwrap_or_else(|error| panic!("{error}"))
}
