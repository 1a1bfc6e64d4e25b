//! What the operator reports about a cluster.
//!
//! A status is not telemetry: its counts are rounded to two digits and written at most once a minute, since every
//! write goes through the API server. Exact and current numbers come from the nodes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator has seen of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorClusterStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What holds for the cluster, for example that it is `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// How many nodes the spec asks for, those of its groups among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>")]
    pub desired_replicas: Option<u16>,

    /// How many pods exist.
    #[serde(default)]
    #[schemars(with = "i32")]
    pub replicas: u16,

    /// How many nodes serve calls.
    #[serde(default)]
    #[schemars(with = "i32")]
    pub ready_replicas: u16,

    /// The label selector of the pods, for `kubectl scale` and autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// The nodes, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub nodes: Vec<NodeStatus>,

    /// How many actors are in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<ActivationStatus>,
}

/// One node of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node's name, which is its pod's.
    pub name: String,
    /// True if it serves calls.
    pub ready: bool,
    /// The id of its store, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Which run on that store it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub incarnation: Option<u64>,
    /// How many shards it owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>")]
    pub shards: Option<u16>,
    /// The host that runs the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Why it does not serve calls, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How many actors are in memory, rounded to two digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivationStatus {
    /// Of all types.
    #[serde(default)]
    #[schemars(with = "i64")]
    pub total: u64,
    /// Of the 20 types that have most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub by_type: Vec<TypeActivations>,
    /// When they were counted. They are not counted again before they have changed by more than a tenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Time>,
}

/// How many actors of a type are in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypeActivations {
    /// The type.
    #[serde(rename = "type")]
    pub actor_type: String,
    /// How many, rounded to two digits.
    #[schemars(with = "i64")]
    pub count: u64,
}
