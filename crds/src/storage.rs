//! What the nodes of a cluster keep state in.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The volume of each node, and the engine that works on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
).field_path(".storageClassName").message(
    "the volumes of a cluster stay in their storage class; set storageClassName back, or make a new ActorCluster with the other class"
))]
pub struct Storage {
    /// The size of each node's volume, such as `10Gi`. It can grow where the storage class allows it.
    #[serde(default = "default_size")]
    #[schemars(with = "String", length(max = 20))]
    #[x_kube(
        validation = Rule::new("self.matches('^[1-9][0-9]{0,11}(Mi|Gi|Ti|M|G|T)$')").message(
            "the size of a volume is a whole number with a unit; write it like 10Gi, with one of Mi, Gi, Ti, M, G, T"
        ),
        validation = Rule::new("!isQuantity(self) || !isQuantity(oldSelf) || quantity(self).compareTo(quantity(oldSelf)) >= 0").message(
            "a volume cannot shrink; set the size back, or make a new ActorCluster with smaller volumes"
        )
    )]
    pub size: Quantity,

    /// The storage class of the volumes. Without it they get the default class of the Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// The engine that state is kept in. `memory` forgets everything when a node ends.
    #[serde(default)]
    #[x_kube(
        validation = Rule::new("self in ['sqlite', 'memory']").message(
            "this version has the engines sqlite and memory only; use sqlite, or memory for state that may be lost"
        ),
        validation = Rule::new("self == oldSelf").message(
            "stored state stays in its engine; set the engine back, or make a new ActorCluster with the other engine"
        )
    )]
    pub engine: Engine,

    /// What happens to the volumes and the shard map when they are no longer needed.
    #[serde(default)]
    pub retention: Retention,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: default_size(),
            storage_class_name: None,
            engine: Engine::default(),
            retention: Retention::default(),
        }
    }
}

fn default_size() -> Quantity {
    Quantity("10Gi".into())
}

/// What state is kept in. The names are fixed from the start; a rule says which of them work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// SQLite, on the node's volume.
    #[default]
    Sqlite,
    /// LMDB, on the node's volume.
    Lmdb,
    /// sled, on the node's volume; never for durable state.
    Sled,
    /// The node's memory.
    Memory,
    /// A PostgreSQL server outside.
    Postgres,
}

/// What happens to the volumes and the shard map when they are no longer needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// When the ActorCluster is deleted.
    pub when_deleted: RetentionPolicy,
    /// When `replicas` is lowered.
    pub when_scaled: RetentionPolicy,
}

/// Whether something is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetentionPolicy {
    /// It is kept until somebody deletes it.
    #[default]
    Retain,
    /// It is deleted, and the state in it.
    Delete,
}
