//! The type itself: what `kubectl explain actorplacements` tells, and what `kubectl get` prints.

// The printer columns repeat their keys, as they must.
#![allow(clippy::duplicated_attributes)]

use greenroom_crds::names;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use kube::core::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::framework::{Object, Version};
use crate::nodes::mirror::Held;

/// The label with the actor's type.
const TYPE_LABEL: &str = "greenroom.dev/type";
/// The label with the node.
const NODE_LABEL: &str = "greenroom.dev/node";

/// Who the actor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "placement.greenroom.dev",
    version = "v1alpha1",
    kind = "ActorPlacement",
    namespaced,
    shortname = "ap",
    category = "greenroom",
    derive = "PartialEq",
    status = "ActorPlacementStatus",
    doc = "An actor that is in memory now, and where. It is read from the memory of the nodes, and cannot be written.",
    selectable = ".spec.cluster",
    selectable = ".spec.type",
    selectable = ".spec.key",
    selectable = ".status.node",
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".spec.type",
        description = "The actor's type."
    ),
    printcolumn(name = "Key", type_ = "string", json_path = ".spec.key", description = "The actor's key."),
    printcolumn(
        name = "Node",
        type_ = "string",
        json_path = ".status.node",
        description = "The node that the actor is on; a pod of that name."
    ),
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".spec.cluster",
        priority = 1,
        description = "The ActorCluster."
    ),
    printcolumn(
        name = "Shard",
        type_ = "integer",
        json_path = ".status.shard",
        priority = 1,
        description = "The shard that the actor belongs to."
    ),
    printcolumn(
        name = "Epoch",
        type_ = "integer",
        json_path = ".status.epoch",
        priority = 1,
        description = "The epoch at which the node owns the shard."
    ),
    printcolumn(
        name = "Mailbox",
        type_ = "integer",
        json_path = ".status.mailbox",
        priority = 1,
        description = "Calls that wait for a turn."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the actor has been in memory."
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ActorPlacementSpec {
    /// The ActorCluster that the actor belongs to, in the same namespace.
    pub cluster: String,
    /// The actor's type.
    #[serde(rename = "type")]
    pub actor_type: String,
    /// The actor's key.
    pub key: String,
}

/// Where the actor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorPlacementStatus {
    /// The node that the actor is on; a pod of that name.
    pub node: String,
    /// The Kubernetes machine that the node runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The shard that the actor belongs to.
    #[schemars(with = "i32")]
    pub shard: u32,
    /// The epoch at which the node owns the shard.
    #[schemars(with = "i64")]
    pub epoch: u64,
    /// Calls that wait for a turn.
    #[schemars(with = "i32")]
    pub mailbox: u32,
    /// Since when the actor has been in memory.
    pub activated_at: Time,
}

impl Object for ActorPlacement {
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "spec.cluster" => Some(self.spec.cluster.clone()),
            "spec.type" => Some(self.spec.actor_type.clone()),
            "spec.key" => Some(self.spec.key.clone()),
            "status.node" => self.status.as_ref().map(|status| status.node.clone()),
            _ => None,
        }
    }
}

impl ActorPlacement {
    /// The object of a placement; `version` is that of the event that shows it, if it is one.
    pub fn of(held: &Held, version: Option<Version>) -> Self {
        let (placement, node) = (&held.placement, &held.node);
        let cluster = node.cluster.name.to_string();
        let activated =
            Timestamp::from_millisecond(placement.activated_unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let spec = ActorPlacementSpec {
            cluster: cluster.clone(),
            actor_type: placement.r#type.clone(),
            key: placement.key.clone(),
        };
        let mut object = Self::new(&format!("{}.{cluster}", placement.name), spec);
        // An activation does not change, so its moment is its version; an event says from where a watch goes on.
        let activated_us = u64::try_from(activated.as_microsecond()).unwrap_or_default();
        let version = version.unwrap_or(Version::new(activated_us, false));
        object.metadata = ObjectMeta {
            namespace: Some(node.cluster.namespace.to_string()),
            uid: Some(uid(held).to_string()),
            creation_timestamp: Some(Time(activated)),
            resource_version: Some(version.to_string()),
            labels: Some(
                [
                    (names::CLUSTER_LABEL, cluster),
                    (TYPE_LABEL, placement.r#type.trim_end_matches(['_', '.']).chars().take(63).collect()),
                    (NODE_LABEL, placement.node.clone()),
                ]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            ),
            ..object.metadata
        };
        object.status = Some(ActorPlacementStatus {
            node: placement.node.clone(),
            host: node.host.as_deref().map(str::to_owned),
            shard: placement.shard,
            epoch: placement.epoch,
            mailbox: placement.mailbox,
            activated_at: Time(activated),
        });
        object
    }
}

/// Of an activation: the same from every replica, another for each activation of the actor.
fn uid(held: &Held) -> Uuid {
    let (placement, cluster) = (&held.placement, &held.node.cluster);
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    let numbers = format!("{}/{}", placement.epoch, placement.activated_unix_ms);
    for part in
        [&*cluster.namespace, &*cluster.name, &placement.r#type, &placement.key, &*held.node.uid, &numbers]
    {
        digest.update(part.as_bytes());
        digest.update(&[0]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finish().as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests;
