//! A cluster in Kubernetes, found by the kubeconfig and reached through port-forwards.
//!
//! The flow: [`connection`] reads the kubeconfig, [`find`] finds the ActorCluster, [`pods`] lists the nodes, [`forward`]
//! opens a connection to a port of a pod, in memory and without a listening port, [`channel`] makes a gRPC channel of such
//! connections. [`gateway`] does so for calls, to any pod that is ready; [`admin`] for questions, to one pod, with the
//! certificate that the operator made for whoever may read its Secret.
//!
//! Whatever the API server refuses becomes an [`api::ApiError`], and a failure that names the right that is missing.

mod admin;
mod api;
mod channel;
mod connection;
mod find;
mod forward;
mod gateway;
mod pods;

pub(crate) use connection::{KubernetesArgs, has_kubeconfig};
pub(crate) use find::Namespaces;
pub(crate) use gateway::GatewayPods;

use std::fmt;
use std::sync::Arc;

use greenroom_client::Client;
use tokio::sync::OnceCell;
use tonic::transport::Channel;

use self::admin::AdminPods;
use self::connection::Connection;
use self::pods::{NodePod, Pods};
use crate::failure::{Failure, Result};
use crate::target::{AdminAddress, At, Nodes};

/// A cluster that an ActorCluster declares.
pub(crate) struct KubernetesCluster {
    connection: Connection,
    name: String,
    /// The nodes that it should have.
    expected: Vec<String>,
    pods: Pods,
    gateways: Arc<GatewayPods>,
    /// Read when a node is first asked something: calls need no certificate.
    admin: OnceCell<AdminPods>,
}

impl KubernetesCluster {
    fn new(connection: Connection, name: String, expected: Vec<String>) -> Self {
        let pods = Pods::of(&connection, &name);
        let gateways = Arc::new(GatewayPods::new(pods.clone()));
        Self { connection, name, expected, pods, gateways, admin: OnceCell::new() }
    }

    /// The pods as clients see them.
    pub(crate) fn gateways(&self) -> &Arc<GatewayPods> {
        &self.gateways
    }

    /// A client that calls actors through the pods that are ready.
    pub(crate) fn client(&self) -> Client {
        Client::through(&format!("the gateway of {}", self.name), gateway::channel(&self.gateways))
    }

    /// Waits until the API server has said that it lets nobody of this user through.
    pub(crate) async fn hopeless(&self) -> Failure {
        self.gateways.hopeless().await
    }

    /// The pods that run, and the names of the nodes that have none.
    pub(crate) async fn nodes(&self) -> Result<Nodes> {
        self.admin().await?;
        let running: Vec<_> = self.pods.list().await?.into_iter().filter(|pod| pod.running).collect();
        if running.is_empty() {
            return Err(Failure::new(format!("{self} has no running pod")).hint(format!(
                "`kubectl describe actorcluster {} -n {}` says why",
                self.name, self.connection.namespace
            )));
        }
        let is_there = |name: &String| running.iter().any(|pod| pod.name == *name);
        let absent = self.expected.iter().filter(|name| !is_there(name)).cloned().collect();
        let address = |pod: NodePod| AdminAddress { name: pod.name, at: At::Pod { uid: pod.uid } };
        Ok(Nodes { there: running.into_iter().map(address).collect(), absent })
    }

    /// Connects to the admin service of a pod.
    pub(crate) async fn connect(&self, pod: &str) -> Result<Channel, String> {
        let admin = self.admin().await.map_err(|failure| failure.text())?;
        admin.connect(pod).await
    }

    async fn admin(&self) -> Result<&AdminPods> {
        self.admin.get_or_try_init(|| AdminPods::read(&self.connection, &self.name, self.pods.clone())).await
    }
}

impl fmt::Display for KubernetesCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster {} in {}", self.name, self.connection)
    }
}
