//! Asks nodes, over their admin port: what they do, and to drain.
//!
//! Both sides show a certificate of the operator's authority; a node is believed by the identity in its certificate, not
//! by its address. That a node does not answer is not an error: it may be starting, or gone.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use greenroom_crds::ActorCluster;
use greenroom_crds::names::{ADMIN_PORT, identity};
use greenroom_operator_plan::observed::NodeReport;
use greenroom_operator_plan::step::PodRef;
use greenroom_proto::v1::admin_client::AdminClient;
use greenroom_proto::v1::{DrainRequest, NodeStatus, StatusRequest};
use greenroom_tls::{Connector, Tls};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tracing::debug;

use crate::error::Error;
use crate::watches::{Caches, ClusterRef};

/// How long a node may take to say what it does.
const STATUS_TIME: Duration = Duration::from_secs(2);
/// How long one attempt waits for a drain; the node goes on with it afterwards.
const DRAIN_TIME: Duration = Duration::from_secs(40);
/// Nodes that are asked at the same time, per cluster.
const CONCURRENCY: usize = 16;

/// Whether a node has drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing runs on it.
    Yes,
    /// It is at it.
    StillRunning,
}

/// Connections to nodes.
#[derive(Default)]
pub(crate) struct Nodes {
    tls: Mutex<Option<Tls>>,
    /// By cluster and by the uid of the pod: a pod never comes back under its uid.
    channels: Mutex<HashMap<ClusterRef, HashMap<String, Channel>>>,
}

impl Nodes {
    /// By which certificate the operator shows itself. Until it has one, no node is asked.
    pub(crate) fn identify(&self, tls: Tls) {
        *self.tls.lock() = Some(tls);
    }

    /// What the nodes of these pods say. Those that do not answer are left out.
    pub(crate) async fn reports(&self, cluster: &ActorCluster, pods: &[Pod]) -> BTreeMap<String, NodeReport> {
        self.forget_all_but(cluster, pods);
        let asked: Vec<_> = pods.iter().map(|pod| self.ask(cluster, pod)).collect();
        stream::iter(asked).buffer_unordered(CONCURRENCY).filter_map(async |report| report).collect().await
    }

    async fn ask(&self, cluster: &ActorCluster, pod: &Pod) -> Option<(String, NodeReport)> {
        match self.report(cluster, pod).await {
            Ok(report) => Some((pod.name_any(), report)),
            Err(problem) => {
                debug!(pod = pod.name_any(), problem, "the node does not answer");
                None
            }
        }
    }

    async fn report(&self, cluster: &ActorCluster, pod: &Pod) -> Result<NodeReport, String> {
        let mut admin = self.admin(cluster, pod)?;
        let answer = tokio::time::timeout(STATUS_TIME, admin.status(StatusRequest {}));
        let status = answer.await.map_err(|_| format!("no answer within {STATUS_TIME:?}"))?;
        Ok(report(status.map_err(|status| status.to_string())?.into_inner()))
    }

    /// Asks the node of the pod to drain, and waits for it a while.
    pub(crate) async fn drain(
        &self,
        cluster: &ActorCluster,
        pod: &PodRef,
        caches: &Caches,
    ) -> Result<Drained, Error> {
        let failed = |problem: String| Error::Node { pod: pod.name.clone(), problem };
        let pods = caches.pods(&ObjectRef::from_obj(cluster));
        let Some(found) = pods.iter().find(|found| found.metadata.uid.as_deref() == Some(&pod.uid)) else {
            return Ok(Drained::Yes);
        };
        let mut admin = self.admin(cluster, found).map_err(failed)?;
        let mut request = Request::new(DrainRequest { timeout_ms: 0 });
        request.set_timeout(DRAIN_TIME);
        match tokio::time::timeout(DRAIN_TIME, admin.drain(request)).await {
            Ok(Ok(_)) => Ok(Drained::Yes),
            Err(_) => Ok(Drained::StillRunning),
            Ok(Err(status)) if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) => {
                Ok(Drained::StillRunning)
            }
            Ok(Err(status)) => Err(failed(status.to_string())),
        }
    }

    fn admin(&self, cluster: &ActorCluster, pod: &Pod) -> Result<AdminClient<Channel>, String> {
        let status = pod.status.as_ref();
        let address = status.and_then(|status| status.pod_ip.as_deref()).ok_or("it has no address yet")?;
        let (cluster_ref, uid) = (ObjectRef::from_obj(cluster), pod.uid().unwrap_or_default());
        let known = self.channels.lock().get(&cluster_ref).and_then(|known| known.get(&uid).cloned());
        if let Some(channel) = known {
            return Ok(AdminClient::new(channel));
        }
        let tls = self.tls.lock().clone().ok_or("this replica has no certificate yet")?;
        let name = identity::node(&cluster.name_any(), &cluster.namespace().unwrap_or_default());
        let connector = Connector::new(tls, &name).map_err(|error| error.to_string())?.patience(STATUS_TIME);
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        // The connector does the TLS.
        let endpoint = Endpoint::from_shared(format!("http://{host}:{}", ADMIN_PORT.1))
            .map_err(|error| error.to_string())?
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5));
        let channel = endpoint.connect_with_connector_lazy(connector);
        self.channels.lock().entry(cluster_ref).or_default().insert(uid, channel.clone());
        Ok(AdminClient::new(channel))
    }

    /// Closes the connections to pods of the cluster that are not among these.
    fn forget_all_but(&self, cluster: &ActorCluster, pods: &[Pod]) {
        let (mut channels, cluster) = (self.channels.lock(), ObjectRef::from_obj(cluster));
        if let Some(known) = channels.get_mut(&cluster) {
            known.retain(|uid, _| pods.iter().any(|pod| pod.metadata.uid.as_ref() == Some(uid)));
        }
    }

    /// The cluster is gone.
    pub(crate) fn forget(&self, cluster: &ClusterRef) {
        self.channels.lock().remove(cluster);
    }
}

fn report(status: NodeStatus) -> NodeReport {
    NodeReport {
        phase: status.phase,
        store: status.store,
        incarnation: status.incarnation,
        shards_owned: status.shards_owned,
        shards_serving: status.shards_serving,
        activations_by_type: status.activations_by_type.into_iter().collect(),
        version: status.version,
    }
}
