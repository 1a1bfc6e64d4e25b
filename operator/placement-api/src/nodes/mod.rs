//! What the nodes of all clusters hold: asked for pages ([`listing`]), and followed while somebody watches ([`following`]).
//!
//! Nothing is kept for a list: its pages are merged from pages of the nodes, and a page's end says where to go on. Only
//! while a cluster is watched its placements are mirrored here, once for all watchers.

pub mod clock;
pub mod directory;
pub mod following;
pub mod listing;
pub mod mirror;
pub mod moment;
pub mod pool;
pub mod read_ahead;

use std::collections::BTreeMap;
use std::sync::Arc;

/// A cluster: its namespace and name, in which order clusters are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name of the ActorCluster.
    pub name: Arc<str>,
}

impl ClusterId {
    /// The cluster of that name there.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// A pod whose node program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePod {
    /// The cluster.
    pub cluster: ClusterId,
    /// The pod's name, which is the node's.
    pub name: Arc<str>,
    /// The pod's uid.
    pub uid: Arc<str>,
    /// Where its admin service is.
    pub address: String,
    /// The host that it runs on.
    pub host: Option<Arc<str>>,
    /// Since when its first and only process has been running, in microseconds since 1970; `None` if there was one before.
    pub only_process_since: Option<u64>,
}

/// The nodes of all clusters, by cluster and then by name.
pub type Nodes = BTreeMap<ClusterId, Vec<Arc<NodePod>>>;
