//! `ActorCluster`: what a user declares.
//!
//! Invariant: every field but `replicas` has a default or may be left out, so `spec: {replicas: 3}` is a whole cluster.
//! Wherever a CEL rule can say what to do, it stands in place of a pattern, whose message only says no.

use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::gateway::Gateway;
use crate::group::NodeGroup;
use crate::pod::PodSettings;
use crate::schema::quantities;
use crate::status::ActorClusterStatus;
use crate::storage::Storage;

/// What a user asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "greenroom.dev",
    version = "v1alpha1",
    kind = "ActorCluster",
    namespaced,
    shortname = "ac",
    category = "greenroom",
    derive = "PartialEq",
    status = "ActorClusterStatus",
    cel,
    doc = "A cluster of nodes that run virtual actors.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "integer",
        json_path = ".status.readyReplicas",
        description = "Nodes that serve calls."
    ),
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".status.desiredReplicas",
        description = "Nodes that the spec asks for, in groups or not."
    ),
    printcolumn(
        name = "Activations",
        type_ = "integer",
        json_path = ".status.activations.total",
        description = "Actors in memory, rounded to two digits."
    ),
    printcolumn(
        name = "Image",
        type_ = "string",
        json_path = ".spec.image",
        priority = 1,
        description = "The node program; empty for the stock node."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
    ).message(
        "the name begins the names of the pods and is not valid for them; use at most 40 of a-z, 0-9 and '-', first a letter, last no '-'"
    ),
    validation = Rule::new(
        "!has(self.spec.groups) || self.spec.groups.all(g, self.metadata.name.size() + g.name.size() <= 51)"
    ).message(
        "the name of the cluster and that of a group are too long together for a StatefulSet; use at most 51 characters for both"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = quantities)]
#[x_kube(validation = Rule::new("self.replicas <= self.shards").field_path(".replicas").message(
    "there are more replicas than shards, and a node without a shard has nothing to do; lower replicas, or make the cluster with more shards"
))]
#[x_kube(validation = Rule::new(
    "!has(self.groups) || self.shards + self.groups.map(g, g.shards).sum() <= 16384"
).field_path(".groups").message(
    "the cluster and its groups have more than 16384 shards together; lower shards, or those of a group"
))]
#[x_kube(validation = Rule::new(
    "(has(self.groups) ? self.groups.size() : 0) == (has(oldSelf.groups) ? oldSelf.groups.size() : 0) && [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].all(i, !has(self.groups) || i >= self.groups.size() || (self.groups[i].name == oldSelf.groups[i].name && self.groups[i].shards == oldSelf.groups[i].shards))"
).field_path(".groups").message(
    "the groups, their order and their shards decide where every actor belongs and cannot be changed; set them back, or make a new ActorCluster with the other groups"
))]
pub struct ActorClusterSpec {
    /// How many nodes the cluster has, each in a pod of its own.
    #[schemars(with = "i32", range(min = 1, max = 100))]
    pub replicas: u16,

    /// The image of the node program. Without it the cluster runs the stock node, which has the actor types `Counter`
    /// and `KeyValue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[^ ]+$')").message(
        "the image is empty or contains a space; write it as registry/name:tag, or leave it out for the stock node"
    ))]
    pub image: Option<String>,

    /// How many copies of each shard the cluster keeps, on as many nodes.
    #[serde(default = "default_copies")]
    #[schemars(with = "i32", range(min = 1, max = 7))]
    #[x_kube(validation = Rule::new("self == 1").message(
        "this version keeps one copy of each shard; set copies to 1 or leave it out, and back the volumes up"
    ))]
    pub copies: u16,

    /// Into how many shards the actors are divided. It decides where every actor belongs and cannot be changed. Ten or
    /// more for each node that the cluster may ever have is a good number.
    #[serde(default = "default_shards")]
    #[schemars(with = "i32", range(min = 1, max = 16384))]
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "shards decides where every actor belongs and cannot be changed; set it back, or make a new ActorCluster with the other number"
    ))]
    pub shards: u16,

    /// Groups of nodes for the actor types that are pinned to them, such as `gpu`. Each has nodes and shards of its own,
    /// beside those that `replicas` and `shards` tell. Which groups there are, and their shards, cannot be changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub groups: Vec<NodeGroup>,

    /// What the nodes keep the state of actors in.
    #[serde(default)]
    pub storage: Storage,

    /// CPU and memory of each node, as in a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Where clients reach the cluster.
    #[serde(default)]
    pub gateway: Gateway,

    /// More environment variables for the node program, as in a container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = Rule::new("self.all(e, !e.name.startsWith('GREENROOM_') || e.name in ['GREENROOM_LOG', 'GREENROOM_LOG_FORMAT', 'GREENROOM_DRAIN_SECONDS'])").message(
            "env sets a GREENROOM_ variable, which the operator makes from the spec; remove it, and set replicas, shards, storage.engine or gateway.port instead (GREENROOM_LOG, GREENROOM_LOG_FORMAT and GREENROOM_DRAIN_SECONDS may be set)"
        )
    )]
    pub env: Vec<EnvVar>,

    /// What else the pods of the nodes get.
    #[serde(default, skip_serializing_if = "PodSettings::is_empty")]
    pub pod: PodSettings,
}

fn default_copies() -> u16 {
    1
}

fn default_shards() -> u16 {
    1024
}

#[cfg(test)]
#[path = "actor_cluster_tests.rs"]
mod tests;
