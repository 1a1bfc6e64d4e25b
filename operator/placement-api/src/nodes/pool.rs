//! Connections to the nodes' admin services: one per pod, opened when needed and kept.
//!
//! A node that did not answer is *suspected*: for a while nobody waits for it, until it answers somebody who tries. So one
//! dead node costs one request its patience, not every request.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_crds::names::identity;
use greenroom_proto::v1;
use greenroom_proto::v1::admin_client::AdminClient;
use greenroom_tls::{Connector, Tls, directory as tls_directory};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tracing::warn;

use super::clock::Clock;
use super::{ClusterId, NodePod, Nodes};

/// How long a node may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// For how long nobody waits for a node that did not answer.
const SUSPECTED: Duration = Duration::from_secs(5);
/// The largest answer: a page of 10,000 placements with the longest keys.
const ANSWER_MAX: usize = 32 << 20;

/// Why a node was not asked, or did not answer.
#[derive(Debug, Clone, Error)]
pub enum NodeError {
    /// There is no certificate to show.
    #[error("the placement API has no client certificate yet; see that the operator runs, which makes it")]
    NoCertificate,
    /// It did not answer in time.
    #[error("no answer within 2 s")]
    Silent,
    /// It did not answer a moment ago.
    #[error("no answer a moment ago")]
    Suspected,
    /// It has forgotten what it was asked for.
    #[error("the node has forgotten changes since then")]
    Forgotten,
    /// What it was asked for can be no actor, so it holds none such.
    #[error("{0}")]
    Impossible(String),
    /// It refused or broke off.
    #[error("{0}")]
    Failed(String),
}

impl From<Status> for NodeError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::OutOfRange => Self::Forgotten,
            Code::DeadlineExceeded => Self::Silent,
            Code::InvalidArgument => Self::Impossible(status.message().to_owned()),
            code => Self::Failed(format!("{code:?}: {}", status.message())),
        }
    }
}

/// How connections to nodes are made.
#[derive(Clone)]
pub enum Security {
    /// With mutual TLS; `None` while there is no certificate.
    Tls(watch::Receiver<Option<Tls>>),
    /// Without: for nodes of a development cluster.
    Plain,
}

/// The connections.
pub struct Pool {
    security: Security,
    clock: Arc<Clock>,
    connections: Mutex<HashMap<Arc<str>, Connection>>,
}

#[derive(Clone)]
struct Connection {
    address: String,
    channel: Channel,
    suspected_until: Option<Instant>,
}

impl Pool {
    /// Without connections. Stamps of nodes are told to `clock`.
    pub fn new(security: Security, clock: Arc<Clock>) -> Self {
        Self { security, clock, connections: Mutex::default() }
    }

    /// Closes connections to pods that are no more.
    pub fn retain(&self, nodes: &Nodes) {
        let alive = |uid: &Arc<str>| nodes.values().flatten().any(|node| node.uid == *uid);
        self.connections.lock().retain(|uid, _| alive(uid));
    }

    /// A page of a node's placements, within [`PATIENCE`].
    pub async fn page(
        &self,
        node: &NodePod,
        request: v1::PlacementsRequest,
    ) -> Result<v1::PlacementsPage, NodeError> {
        if self.is_suspected(node) {
            return Err(NodeError::Suspected);
        }
        let mut client = self.client(node)?;
        let answer = match tokio::time::timeout(PATIENCE, client.placements(request)).await {
            Ok(answer) => answer.map_err(NodeError::from),
            Err(_) => Err(NodeError::Silent),
        };
        self.heard(node, answer.as_ref().err());
        let page = answer?.into_inner();
        self.clock.observe(page.stamp);
        Ok(page)
    }

    /// Opens the stream of a node's changes after a stamp. Its beginning must come within [`PATIENCE`].
    pub async fn changes(
        &self,
        node: &NodePod,
        after: u64,
    ) -> Result<tonic::Streaming<v1::PlacementChanges>, NodeError> {
        let mut client = self.client(node)?;
        let request = v1::WatchPlacementsRequest { after, ..Default::default() };
        let answer = match tokio::time::timeout(PATIENCE, client.watch_placements(request)).await {
            Ok(answer) => answer.map_err(NodeError::from),
            Err(_) => Err(NodeError::Silent),
        };
        self.heard(node, answer.as_ref().err());
        Ok(answer?.into_inner())
    }

    fn is_suspected(&self, node: &NodePod) -> bool {
        let connections = self.connections.lock();
        let until = connections.get(&node.uid).and_then(|connection| connection.suspected_until);
        until.is_some_and(|until| until > Instant::now())
    }

    fn heard(&self, node: &NodePod, error: Option<&NodeError>) {
        let answered = !matches!(error, Some(NodeError::Silent | NodeError::Failed(_)));
        if let Some(connection) = self.connections.lock().get_mut(&node.uid) {
            connection.suspected_until = (!answered).then(|| Instant::now() + SUSPECTED);
        }
    }

    fn client(&self, node: &NodePod) -> Result<AdminClient<Channel>, NodeError> {
        let mut connections = self.connections.lock();
        let channel = match connections.get(&node.uid).filter(|known| known.address == node.address) {
            Some(known) => known.channel.clone(),
            None => {
                let channel = self.connect(&node.cluster, &node.address)?;
                let connection = Connection { address: node.address.clone(), channel, suspected_until: None };
                connections.entry(node.uid.clone()).insert_entry(connection).get().channel.clone()
            }
        };
        Ok(AdminClient::new(channel).max_decoding_message_size(ANSWER_MAX))
    }

    fn connect(&self, cluster: &ClusterId, address: &str) -> Result<Channel, NodeError> {
        let failed = |error: &dyn std::fmt::Display| NodeError::Failed(error.to_string());
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| failed(&error))?
            .connect_timeout(PATIENCE)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true);
        match &self.security {
            Security::Plain => Ok(endpoint.connect_lazy()),
            Security::Tls(current) => {
                let tls = current.borrow().clone().ok_or(NodeError::NoCertificate)?;
                let server = identity::node(&cluster.name, &cluster.namespace);
                let connector = Connector::new(tls, &server).map_err(|error| failed(&error))?;
                Ok(endpoint.connect_with_connector_lazy(connector.patience(PATIENCE)))
            }
        }
    }
}

/// Loads the client certificate when the operator has made it, and keeps up with it for ever.
pub async fn follow_certificate(directory: PathBuf, current: watch::Sender<Option<Tls>>) {
    let tls = loop {
        match tls_directory::load(&directory, Duration::from_secs(60)).await {
            Ok(tls) => break tls,
            Err(error) => {
                warn!(%error, "there is no client certificate, so no node can be asked; waiting for it")
            }
        }
    };
    current.send_replace(Some(tls.clone()));
    tls_directory::follow(tls, directory, tls_directory::POLL).await;
}
