//! Watches a dev cluster: what its processes do, who is present, and what each node says about itself. From these it
//! keeps the [`Snapshot`], tells what happens as [`Event`]s, and writes `endpoints.json` at each change of presence.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use greenroom_cluster::Peer;
use greenroom_proto::v1::admin_client::AdminClient;
use greenroom_proto::v1::{NodeStatus, StatusRequest};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::transport::{Channel, Endpoint};

use super::endpoints::{Endpoints, NodeEndpoints};
use super::event::{Event, Events};
use super::snapshot::Snapshot;
use super::supervisor::Supervised;

/// How often every node is asked. Until the cluster is ready it is asked more often, since somebody is waiting.
const POLL: Duration = Duration::from_secs(1);
const POLL_WHILE_STARTING: Duration = Duration::from_millis(200);
/// A node that takes longer is shown without figures until it answers again.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(900);

/// The watcher.
pub(crate) struct Monitor {
    /// The directory with `endpoints.json`.
    pub(crate) cluster_dir: PathBuf,
    /// What stands in that file; the nodes change.
    pub(crate) endpoints: Endpoints,
    /// What the processes do.
    pub(crate) processes: watch::Receiver<Vec<Supervised>>,
    /// Who is present.
    pub(crate) presence: BoxStream<'static, Vec<Peer>>,
    /// Where the state of the cluster is published.
    pub(crate) snapshot: watch::Sender<Snapshot>,
    /// Where events go.
    pub(crate) events: Events,
}

impl Monitor {
    /// Watches until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut clients = HashMap::new();
        let mut ticks = tokio::time::interval(POLL_WHILE_STARTING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(peers) = self.presence.next() => self.take_presence(peers),
                Ok(()) = self.processes.changed() => self.take_processes(),
                _ = ticks.tick() => {
                    self.poll(&mut clients).await;
                    let period = if self.snapshot.borrow().is_ready() { POLL } else { POLL_WHILE_STARTING };
                    if period != ticks.period() {
                        ticks = tokio::time::interval_at(Instant::now() + period, period);
                        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    }
                }
            }
        }
    }

    fn take_processes(&mut self) {
        let states = self.processes.borrow_and_update().clone();
        self.snapshot.send_modify(|snapshot| {
            for (node, state) in snapshot.nodes.iter_mut().zip(&states) {
                node.take_state(state);
            }
        });
    }

    fn take_presence(&mut self, peers: Vec<Peer>) {
        let mut nodes: Vec<_> = peers.into_iter().map(NodeEndpoints::from).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self.change(|snapshot, events| {
            for node in &mut snapshot.nodes {
                let endpoints = nodes.iter().find(|endpoints| endpoints.name == node.name);
                if node.take_endpoints(endpoints.cloned())
                    && let Some(endpoints) = endpoints
                {
                    let (node, gateway) = (node.name.clone(), endpoints.gateway.clone());
                    events.push(Event::Registered { node, gateway });
                }
            }
        });
        if self.endpoints.nodes != nodes {
            self.endpoints.nodes = nodes;
            if let Err(failure) = self.endpoints.write(&self.cluster_dir) {
                // The cluster goes on; other terminals keep what the file said before.
                tracing::warn!("{}", failure.text());
            }
        }
    }

    /// Asks every node that is present.
    async fn poll(&mut self, clients: &mut HashMap<String, AdminClient<Channel>>) {
        let admins: Vec<_> =
            self.endpoints.nodes.iter().map(|node| (node.name.clone(), node.admin.clone())).collect();
        clients.retain(|address, _| admins.iter().any(|(_, admin)| admin == address));
        let asked = admins.iter().map(|(_, admin)| {
            if !clients.contains_key(admin) {
                clients.extend(client(admin).map(|client| (admin.clone(), client)));
            }
            status(clients.get(admin).cloned())
        });
        let answers: Vec<_> = asked.collect();
        let answers = join_all(answers).await;
        let now = Instant::now();
        self.change(|snapshot, events| {
            for ((name, _), answer) in admins.iter().zip(answers) {
                let Some(node) = snapshot.nodes.iter_mut().find(|node| node.name == *name) else { continue };
                let before = node.status.as_ref().map(|status| status.phase.clone());
                if let Some(phase) =
                    answer.as_ref().map(|status| &status.phase).filter(|new| before.as_ref() != Some(new))
                {
                    events.push(Event::Phase { node: name.clone(), phase: phase.clone() });
                }
                node.take_status(answer, now);
            }
        });
    }

    /// Changes the snapshot and tells what that means.
    fn change(&self, change: impl FnOnce(&mut Snapshot, &mut Vec<Event>)) {
        let mut events = Vec::new();
        self.snapshot.send_modify(|snapshot| {
            let was_ready = snapshot.is_ready();
            change(snapshot, &mut events);
            events.extend(readiness(was_ready, snapshot));
        });
        for event in events {
            // Nobody listens any more when the program ends.
            let _ = self.events.send(event);
        }
    }
}

fn readiness(was_ready: bool, snapshot: &Snapshot) -> Option<Event> {
    let (cluster, shards) = (snapshot.cluster.clone(), snapshot.shards);
    match (was_ready, snapshot.is_ready()) {
        (false, true) => Some(Event::Ready { cluster, nodes: snapshot.registered(), shards }),
        (true, false) => Some(Event::NotReady { cluster, serving: snapshot.serving(), shards }),
        _ => None,
    }
}

/// Connects when it is first used, and again when the connection breaks.
fn client(address: &str) -> Option<AdminClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
    Some(AdminClient::new(endpoint.connect_lazy()))
}

async fn status(client: Option<AdminClient<Channel>>) -> Option<NodeStatus> {
    let mut client = client?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.status(StatusRequest {})).await;
    Some(answer.ok()?.ok()?.into_inner())
}

#[cfg(test)]
mod tests {
    use greenroom_cluster::{Coordination, Embedded};
    use greenroom_core::ShardCount;
    use tokio::sync::mpsc;

    use super::super::endpoints::Found;
    use super::*;

    #[tokio::test]
    async fn who_comes_and_goes_is_told_and_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let register = Embedded::memory(ShardCount::new(4).unwrap());
        let (events, mut heard) = mpsc::unbounded_channel();
        let (_processes, processes) = watch::channel(Vec::new());
        let endpoints =
            Endpoints { nodes: Vec::new(), ..super::super::endpoints::tests::demo(std::process::id()) };
        let names = endpoints.node_names().collect::<Vec<_>>();
        let monitor = Monitor {
            cluster_dir: dir.path().to_owned(),
            endpoints,
            processes,
            presence: register.watch_present(),
            snapshot: watch::Sender::new(Snapshot::new("demo", 4, names)),
            events,
        };
        let mut snapshot = monitor.snapshot.subscribe();
        let running = tokio::spawn(monitor.run());

        let peer =
            Peer { name: "demo-1".into(), gateway_address: "127.0.0.1:1".into(), pid: 7, ..Peer::default() };
        let mut presence = register.join(peer);
        presence.next().await;
        let registered = Event::Registered { node: "demo-1".into(), gateway: "127.0.0.1:1".into() };
        assert_eq!(heard.recv().await, Some(registered));
        snapshot.wait_for(|snapshot| snapshot.registered() == 1).await.unwrap();
        let Found::Running(endpoints) = Endpoints::find(dir.path()).unwrap() else {
            panic!("it was written")
        };
        assert_eq!(endpoints.nodes[0].pid, 7);

        drop(presence);
        snapshot.wait_for(|snapshot| snapshot.registered() == 0).await.unwrap();
        running.abort();
    }
}
