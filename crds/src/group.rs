//! Groups of nodes: nodes and shards of their own, for the actor types that are pinned to them.
//!
//! Invariant: the shards of a cluster are numbered through, the general ones first, then those of each group in the order
//! of the spec. So the groups, their order and their shards decide where an actor belongs and never change.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::ActorClusterSpec;
use crate::names;
use crate::pod::PodSettings;

/// Nodes that own shards of their own. The types that are pinned to the group live on them and nowhere else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.replicas <= self.shards").field_path(".replicas").message(
    "the group has more replicas than shards, and a node without a shard has nothing to do; lower the group's replicas, or make the cluster with more shards for it"
))]
pub struct NodeGroup {
    /// The name of the group, as in `#[actor(pinned("gpu"))]`.
    #[schemars(length(max = 15))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message(
        "the name of a group is part of the names of its pods and is not valid for them; use a-z, 0-9 and '-', first a letter, last no '-'"
    ))]
    pub name: String,

    /// How many nodes the group has, each in a pod of its own.
    #[schemars(with = "i32", range(min = 1, max = 100))]
    pub replicas: u16,

    /// Into how many shards the actors of the group are divided. It cannot be changed.
    #[serde(default = "default_shards")]
    #[schemars(with = "i32", range(min = 1, max = 16384))]
    pub shards: u16,

    /// CPU and memory of each node of the group. Without it they get those of `spec.resources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// What else the pods of the group get, in place of `spec.pod`. Without it they get what stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSettings>,
}

fn default_shards() -> u16 {
    64
}

impl ActorClusterSpec {
    /// How many shards the cluster has, the general ones and those of its groups.
    pub fn total_shards(&self) -> u16 {
        self.groups.iter().fold(self.shards, |sum, group| sum.saturating_add(group.shards))
    }

    /// How many nodes the cluster has, the general ones and those of its groups.
    pub fn total_replicas(&self) -> u16 {
        self.groups.iter().fold(self.replicas, |sum, group| sum.saturating_add(group.replicas))
    }

    /// The names of all nodes of a cluster of this name: the general ones by ordinal, then group by group.
    pub fn node_names(&self, cluster: &str) -> Vec<String> {
        let of = |group: Option<&str>, replicas: u16| {
            (0..replicas).map(|ordinal| names::node(cluster, group, ordinal)).collect::<Vec<_>>()
        };
        let groups = self.groups.iter().flat_map(|group| of(Some(&group.name), group.replicas));
        of(None, self.replicas).into_iter().chain(groups).collect()
    }
}
