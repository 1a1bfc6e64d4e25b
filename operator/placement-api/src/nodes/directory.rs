//! Which nodes there are: the pods with the operator's labels, watched.
//!
//! A pod counts as a node while its node container runs and it has an address; also while it is being deleted, since it
//! serves until it stops. When a pod ceases to be one, its cluster gets a *horizon*: watches from before it cannot know
//! what that node held and must list again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use greenroom_crds::names;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

use super::clock::Clock;
use super::{ClusterId, NodePod, Nodes};

/// How far the clocks of two replicas may be apart, in microseconds. Clocks that are kept by NTP are closer.
const SKEW: u64 = 1_000_000;

/// The nodes, as they are now.
#[derive(Clone)]
pub struct Directory(Arc<Shared>);

struct Shared {
    clock: Arc<Clock>,
    nodes: watch::Sender<Option<Arc<Nodes>>>,
    /// Before which moment a watch of a cluster, or of any, cannot begin.
    horizons: Mutex<HashMap<ClusterId, u64>>,
    start: Mutex<u64>,
}

impl Directory {
    /// Without nodes, and not [`ready`](Self::is_ready) yet.
    pub fn new(clock: Arc<Clock>) -> Self {
        let nodes = watch::Sender::new(None);
        Self(Arc::new(Shared { clock, nodes, horizons: Mutex::default(), start: Mutex::new(u64::MAX) }))
    }

    /// Whether all pods have been listed once.
    pub fn is_ready(&self) -> bool {
        self.0.nodes.borrow().is_some()
    }

    /// The nodes now; `None` before they have been listed.
    pub fn nodes(&self) -> Option<Arc<Nodes>> {
        self.0.nodes.borrow().clone()
    }

    /// Tells of each change.
    pub fn changes(&self) -> watch::Receiver<Option<Arc<Nodes>>> {
        self.0.nodes.subscribe()
    }

    /// The earliest stamp from which a watch of these clusters may begin.
    pub fn horizon(&self, selected: impl Fn(&ClusterId) -> bool) -> u64 {
        let horizons = self.0.horizons.lock();
        let latest = horizons.iter().filter(|(cluster, _)| selected(cluster)).map(|(_, stamp)| *stamp).max();
        latest.unwrap_or_default().max(*self.0.start.lock())
    }

    /// Takes the nodes as they are now.
    pub fn set(&self, nodes: Nodes) {
        let shared = &*self.0;
        let before = shared.nodes.borrow().clone();
        match &before {
            None => *shared.start.lock() = shared.clock.stamp(),
            Some(before) if **before == nodes => return,
            Some(before) => {
                let horizon = shared.clock.stamp() + SKEW;
                for (cluster, pods) in &**before {
                    let now = nodes.get(cluster).map(Vec::as_slice).unwrap_or_default();
                    if pods.iter().any(|pod| !now.iter().any(|other| other.uid == pod.uid)) {
                        shared.horizons.lock().insert(cluster.clone(), horizon);
                    }
                }
            }
        }
        shared.nodes.send_replace(Some(Arc::new(nodes)));
    }

    /// Follows the pods of these namespaces, or of all if there are none, for ever.
    pub async fn follow(self, client: Client, namespaces: &[String], admin_port: u16) {
        let selector = format!(
            "app.kubernetes.io/managed-by={},app.kubernetes.io/component={}",
            names::MANAGED_BY,
            names::NODE_COMPONENT
        );
        let apis: Vec<Api<Pod>> = match namespaces {
            [] => vec![Api::all(client)],
            some => some.iter().map(|ns| Api::namespaced(client.clone(), ns)).collect(),
        };
        let mut pods = Pods::new(apis.len());
        let config = watcher::Config::default().labels(&selector).timeout(200);
        let streams = apis.into_iter().enumerate().map(|(i, api)| {
            let events = kube::runtime::watcher(api, config.clone()).default_backoff();
            events.map(move |event| (i, event)).boxed()
        });
        let mut events: SelectAll<BoxStream<'_, (usize, watcher::Result<Event<Pod>>)>> = streams.collect();
        while let Some((i, event)) = events.next().await {
            match event {
                Ok(event) => pods.take(i, event, admin_port),
                Err(error) => warn!(%error, "cannot watch the pods; trying again"),
            }
            if pods.listed.iter().all(|listed| *listed) {
                if !self.is_ready() {
                    info!(nodes = pods.nodes.len(), "the nodes are known");
                }
                self.set(grouped(pods.nodes.values()));
            }
        }
    }
}

/// The nodes as several watches tell them.
struct Pods {
    nodes: BTreeMap<(usize, ClusterId, Arc<str>), Arc<NodePod>>,
    /// What a watch has listed so far, when it lists again.
    fresh: Vec<Vec<NodePod>>,
    /// Which watches have listed once.
    listed: Vec<bool>,
}

impl Pods {
    fn new(watches: usize) -> Self {
        Self { nodes: BTreeMap::new(), fresh: vec![Vec::new(); watches], listed: vec![false; watches] }
    }

    fn take(&mut self, watch: usize, event: Event<Pod>, admin_port: u16) {
        match event {
            Event::Init => self.fresh[watch].clear(),
            Event::InitApply(pod) => self.fresh[watch].extend(node(&pod, admin_port)),
            Event::InitDone => {
                self.nodes.retain(|(of, ..), _| *of != watch);
                for node in std::mem::take(&mut self.fresh[watch]) {
                    self.insert(watch, node);
                }
                self.listed[watch] = true;
            }
            Event::Apply(pod) => match node(&pod, admin_port) {
                Some(node) => self.insert(watch, node),
                None => self.remove(&pod),
            },
            Event::Delete(pod) => self.remove(&pod),
        }
    }

    fn insert(&mut self, watch: usize, node: NodePod) {
        self.nodes.insert((watch, node.cluster.clone(), node.name.clone()), Arc::new(node));
    }

    fn remove(&mut self, pod: &Pod) {
        self.nodes.retain(|_, node| pod.metadata.uid.as_deref() != Some(&*node.uid));
    }
}

fn grouped<'a>(pods: impl Iterator<Item = &'a Arc<NodePod>>) -> Nodes {
    let mut nodes = Nodes::new();
    for pod in pods {
        nodes.entry(pod.cluster.clone()).or_default().push(pod.clone());
    }
    nodes
}

/// The pod as a node, if it is one now.
fn node(pod: &Pod, admin_port: u16) -> Option<NodePod> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let container = containers.iter().find(|container| container.name == names::NODE_CONTAINER)?;
    let running = container.state.as_ref()?.running.as_ref()?;
    let ip = status.pod_ip.as_deref().filter(|ip| !ip.is_empty())?;
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let started = running.started_at.as_ref().map(|time| time.0.as_microsecond());
    Some(NodePod {
        cluster: ClusterId::new(&pod.namespace()?, pod.labels().get(names::CLUSTER_LABEL)?),
        name: pod.name_any().into(),
        uid: pod.uid()?.into(),
        address: format!("{host}:{admin_port}"),
        host: pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).map(Into::into),
        only_process_since: started
            .filter(|_| container.restart_count == 0)
            .and_then(|micros| u64::try_from(micros).ok()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, state: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "ns", "uid": name, "labels": { "greenroom.dev/cluster": "shop" } },
            "spec": { "containers": [], "nodeName": "host-1" },
            "status": {
                "podIP": "fd00::7",
                "containerStatuses": [{
                    "name": "node", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                    "state": { state: { "startedAt": "2026-01-01T00:00:00Z", "exitCode": 0 } },
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_is_a_node_while_its_container_runs() {
        let node = node(&pod("shop-0", "running"), 7402).unwrap();
        assert_eq!(node.address, "[fd00::7]:7402");
        assert_eq!(node.cluster, ClusterId::new("ns", "shop"));
        assert_eq!(node.only_process_since, Some(1_767_225_600_000_000));
        assert_eq!(super::node(&pod("shop-0", "terminated"), 7402), None);
        assert_eq!(super::node(&Pod::default(), 7402), None);
    }

    #[test]
    fn a_node_that_goes_moves_the_horizon_of_its_cluster_only() {
        let directory = Directory::new(Arc::new(Clock::default()));
        assert_eq!(directory.horizon(|_| true), u64::MAX, "nothing is known yet");
        let nodes = |names: &[&str]| {
            let pods = names.iter().map(|name| Arc::new(node(&pod(name, "running"), 1).unwrap()));
            grouped(pods.collect::<Vec<_>>().iter())
        };
        directory.set(nodes(&["a", "b"]));
        let start = directory.horizon(|_| true);
        directory.set(nodes(&["a", "b", "c"]));
        assert_eq!(directory.horizon(|_| true), start);
        directory.set(nodes(&["a", "c"]));
        assert!(directory.horizon(|cluster| cluster.name.as_ref() == "shop") > start);
        assert_eq!(directory.horizon(|cluster| cluster.name.as_ref() == "other"), start);
    }
}
