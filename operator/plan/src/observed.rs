//! What the controller saw of one cluster, at one moment.

use std::collections::BTreeMap;

use greenroom_crds::{ActorCluster, NodeGroup, names};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::step::ObjectKey;

/// One cluster as it was seen. Everything in it may be old by the time a step is taken, which is why steps that destroy
/// something carry the uid and the version that they were decided on.
#[derive(Debug, Clone)]
pub struct Observed {
    /// What the user declared; with namespace, uid and generation.
    pub cluster: ActorCluster,
    /// The objects that carry the cluster's label and that the operator makes, whole, as the API server has them.
    pub children: BTreeMap<ObjectKey, serde_json::Value>,
    /// The pods of the nodes.
    pub pods: Vec<Pod>,
    /// The shard map's pages that exist; see [`PageSeen::from_metadata`].
    pub pages: Vec<PageSeen>,
    /// The StatefulSets of other clusters in the namespace, by name, and the clusters that have them.
    pub foreign: BTreeMap<String, String>,
    /// What the nodes said, by pod name. A node that did not answer is not in it.
    pub nodes: BTreeMap<String, NodeReport>,
}

/// A page of the shard map that exists, and what it says about the cluster that it was made for. Pages outlive their
/// ActorCluster, so a cluster of the same name may find those of its predecessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSeen {
    /// The page's number.
    pub page: u16,
    /// How many general shards the map has.
    pub shards: Option<u16>,
    /// How many general nodes the cluster was made with.
    pub replicas: Option<u16>,
    /// The groups that the cluster was made with.
    pub groups: Vec<GroupSeen>,
}

impl PageSeen {
    /// Reads a ShardMap's metadata; `None` if it is no page of this cluster.
    pub fn from_metadata(cluster: &str, metadata: &ObjectMeta) -> Option<Self> {
        let text = |annotation| metadata.annotations.as_ref()?.get(annotation);
        let number = |annotation| text(annotation)?.parse().ok();
        let page = metadata.name.as_deref()?.strip_prefix(cluster)?.strip_prefix('-')?.parse().ok()?;
        Some(Self {
            page,
            shards: number(names::SHARDS_ANNOTATION),
            replicas: number(names::REPLICAS_ANNOTATION),
            groups: text(names::GROUPS_ANNOTATION).map(|text| GroupSeen::read(text)).unwrap_or_default(),
        })
    }
}

/// A group of nodes, as a page of the shard map remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSeen {
    /// The name.
    pub name: String,
    /// How many shards it has.
    pub shards: u16,
    /// How many nodes it was made with.
    pub replicas: u16,
}

impl GroupSeen {
    /// The groups of a spec as text, `gpu=64x1,…`; `None` if there are none.
    pub(crate) fn write(groups: &[NodeGroup]) -> Option<String> {
        let one =
            |NodeGroup { name, shards, replicas, .. }: &NodeGroup| format!("{name}={shards}x{replicas}");
        let text = groups.iter().map(one).collect::<Vec<_>>().join(",");
        if text.is_empty() { None } else { Some(text) }
    }

    /// The groups of such a text. What is no group is passed over.
    fn read(text: &str) -> Vec<Self> {
        let one = |text: &str| {
            let (name, numbers) = text.split_once('=')?;
            let (shards, replicas) = numbers.split_once('x')?;
            Some(Self {
                name: name.to_owned(),
                shards: shards.parse().ok()?,
                replicas: replicas.parse().ok()?,
            })
        };
        text.split(',').filter_map(one).collect()
    }
}

/// What a node's admin service said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// `Starting`, `Joining`, `Active`, `Draining` or `Drained`.
    pub phase: String,
    /// The id of its store.
    pub store: String,
    /// Which run on that store it is.
    pub incarnation: u64,
    /// Shards that the map gives it.
    pub shards_owned: u32,
    /// Shards that it serves.
    pub shards_serving: u32,
    /// Actors in memory, by type.
    pub activations_by_type: BTreeMap<String, u64>,
    /// The version of Greenroom that it was built with.
    pub version: String,
}

/// What is the same for all clusters: how this operator was installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The image of the stock node, for clusters that name none.
    pub node_image: String,
    /// How the images are pulled; `None`: as Kubernetes decides by the tag.
    pub image_pull_policy: Option<String>,
    /// The names of the Secrets that pull the images.
    pub image_pull_secrets: Vec<String>,
    /// Where the operator and the placement API run; their pods may reach the nodes' admin ports.
    pub namespace: String,
    /// The DNS domain of the Kubernetes cluster.
    pub cluster_domain: String,
}
