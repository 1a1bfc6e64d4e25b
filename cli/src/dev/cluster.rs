//! A dev cluster while it runs: the register with the shard map, the nodes under their supervisor, and what watches and
//! controls them. It starts in this order and stops in the reverse one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenroom_cluster::coordination;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::control::ControlSocket;
use super::endpoints::Endpoints;
use super::event::Event;
use super::lock::DirectoryLock;
use super::monitor::Monitor;
use super::plan::{Plan, log_file};
use super::program::Program;
use super::snapshot::Snapshot;
use super::supervisor::{Control, Supervisor};
use super::{logs, map};
use crate::failure::{OrFail, Result};

/// A running cluster.
pub(crate) struct DevCluster {
    supervisor: Supervisor,
    snapshot: watch::Receiver<Snapshot>,
    directory: PathBuf,
    nodes: Vec<String>,
    since: Instant,
    first_step: &'static str,
    /// Register, control socket and monitor; they end with this.
    _services: JoinSet<()>,
    _lock: DirectoryLock,
}

impl DevCluster {
    /// Starts the plan's nodes, which run `program`, or the stock node in this process, with their state below `data`. Returns as soon as the processes are
    /// being started; the events tell how that goes on.
    pub(crate) async fn start(
        plan: &Plan,
        program: Option<&Program>,
        data: &Path,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let directory = prepared(data, &plan.name)?;
        let lock = DirectoryLock::take(&directory)?;
        let register = map::open(&directory, plan).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.or_fail("cannot listen on 127.0.0.1")?;
        let address = listener.local_addr().or_fail("cannot listen on 127.0.0.1")?.to_string();
        let socket = ControlSocket::listen(&directory)?;
        let nodes: Vec<_> = plan.node_names().collect();
        for node in &nodes {
            logs::rotate(&log_file(&directory, node)).or_fail("cannot put the log of the last run aside")?;
        }

        let (events, heard) = mpsc::unbounded_channel();
        let snapshot = watch::Sender::new(Snapshot::new(
            &plan.name,
            plan.layout()?.total().get(),
            nodes.iter().cloned(),
        ));
        let endpoints = Endpoints {
            cluster: plan.name.clone(),
            pid: std::process::id(),
            replicas: plan.replicas,
            groups: plan.groups.0.iter().map(|group| (group.name.clone(), group.replicas)).collect(),
            coordination: address.clone(),
            control: socket.path().to_owned(),
            nodes: Vec::new(),
        };
        endpoints.write(&directory)?;

        let supervisor = Supervisor::start(plan.launches(program, &directory, &address)?, &events);
        let monitor = Monitor {
            cluster_dir: directory.clone(),
            endpoints,
            processes: supervisor.control().states(),
            presence: register.watch_present(),
            snapshot: snapshot.clone(),
            events,
        };
        let mut services = JoinSet::new();
        services.spawn(async move {
            let served = coordination::serve(Arc::new(register), listener, std::future::pending()).await;
            if let Err(error) = served {
                tracing::error!("the coordination service has ended: {error}");
            }
        });
        services.spawn(socket.serve(supervisor.control().clone()));
        services.spawn(monitor.run());
        let snapshot = snapshot.subscribe();
        let since = Instant::now();
        let first_step = first_step(program.is_none_or(|program| program.stock));
        let cluster = Self {
            supervisor,
            snapshot,
            directory,
            nodes,
            since,
            first_step,
            _services: services,
            _lock: lock,
        };
        Ok((cluster, heard))
    }

    /// The state of the cluster, now and after each change.
    pub(crate) fn snapshot(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.clone()
    }

    /// The way to stop and start single nodes.
    pub(crate) fn control(&self) -> &Control {
        self.supervisor.control()
    }

    /// Where the cluster's state is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The names of the nodes.
    pub(crate) fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// When it was started.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// A command that the user may try first.
    pub(crate) fn first_step(&self) -> &'static str {
        self.first_step
    }

    /// Stops the nodes, then everything else, and takes back `endpoints.json`.
    pub(crate) async fn stop(self) {
        // Nobody should begin to talk to a cluster that is about to end.
        Endpoints::remove(&self.directory);
        self.supervisor.shutdown().await;
        drop(self._services);
        // The monitor has written it again when the nodes left.
        Endpoints::remove(&self.directory);
    }
}

fn first_step(stock: bool) -> &'static str {
    if stock { "greenroom call Counter/page-1 add '{\"by\":3}'" } else { "greenroom get types" }
}

/// The directory of the cluster, there and not to be committed.
fn prepared(data: &Path, name: &str) -> Result<PathBuf> {
    let directory = data.join(name);
    let cannot = format!("cannot create {}", directory.display());
    fs::create_dir_all(&directory).or_fail(&cannot)?;
    let ignore = data.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").or_fail(&cannot)?;
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use greenroom_client::{CallOptions, Client};

    use super::super::endpoints::Found;
    use super::*;

    struct Rig {
        cluster: DevCluster,
        events: mpsc::UnboundedReceiver<Event>,
    }

    impl Rig {
        /// A cluster whose shards are all served.
        async fn ready(plan: &Plan, data: &Path) -> Self {
            let (cluster, events) = DevCluster::start(plan, None, data).await.unwrap();
            cluster.snapshot().wait_for(Snapshot::is_ready).await.unwrap();
            Self { cluster, events }
        }

        async fn add(&self, by: i64) -> String {
            let Found::Running(endpoints) = Endpoints::find(self.cluster.directory()).unwrap() else {
                panic!("it runs")
            };
            let client = Client::connect(endpoints.nodes.iter().map(|node| node.gateway.as_str())).unwrap();
            let (actor, arguments) = ("Counter/page-1".parse().unwrap(), format!(r#"{{"by":{by}}}"#));
            client.call_json(&actor, "add", &arguments, CallOptions::default()).await.unwrap()
        }

        async fn stop(mut self) -> Vec<Event> {
            self.cluster.stop().await;
            std::iter::from_fn(|| self.events.try_recv().ok()).collect()
        }
    }

    #[tokio::test]
    async fn a_cluster_starts_answers_stops_and_goes_on_where_it_was() {
        let data = tempfile::tempdir().unwrap();
        let plan = Plan::for_test(3, 16);
        let first = Rig::ready(&plan, data.path()).await;
        assert_eq!(first.add(3).await, "3");
        let events = first.stop().await;
        let ready = Event::Ready { cluster: "demo".into(), nodes: 3, shards: 16 };
        assert!(events.contains(&ready), "{events:?}");
        assert_eq!(Endpoints::find(&data.path().join("demo")).unwrap(), Found::Nothing);

        let refused = DevCluster::start(&Plan::for_test(2, 16), None, data.path()).await.err().unwrap();
        assert!(refused.to_string().contains("replicas: 3"), "{refused}");
        let second = Rig::ready(&plan, data.path()).await;
        assert_eq!(second.add(4).await, "7");
        second.stop().await;
    }

    #[tokio::test]
    async fn a_node_that_is_stopped_and_started_serves_its_shards_again() {
        let data = tempfile::tempdir().unwrap();
        let rig = Rig::ready(&Plan::for_test(2, 8), data.path()).await;
        let (control, mut snapshot) = (rig.cluster.control().clone(), rig.cluster.snapshot());
        control.stop("demo-1").await.unwrap();
        snapshot.wait_for(|snapshot| !snapshot.is_ready() && snapshot.registered() == 1).await.unwrap();
        control.start("demo-1").await.unwrap();
        snapshot.wait_for(Snapshot::is_ready).await.unwrap();
        rig.stop().await;
    }
}
