//! `ShardMap`: a page of a cluster's shard map, in Kubernetes.
//!
//! Plain data, one object for each page of 256 shards, named `<cluster>-<page>`. Its `resourceVersion` is the comparison
//! of the compare-and-set that every change of the map is; its `generation` counts the changes. The fields from `page`
//! on have the JSON form of the runtime's own page, so the same record is kept here and by `greenroom dev`.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::group::NodeGroup;

/// A page of the shard map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "greenroom.dev",
    version = "v1alpha1",
    kind = "ShardMap",
    namespaced,
    category = "greenroom",
    derive = "PartialEq",
    cel,
    doc = "A page of an ActorCluster's shard map: who owns which shard, at which epoch. Written by the nodes; do not edit it.",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.cluster"),
    printcolumn(name = "Page", type_ = "integer", json_path = ".spec.page"),
    printcolumn(
        name = "Shards",
        type_ = "string",
        json_path = ".spec.range",
        description = "The shards of this page."
    ),
    printcolumn(
        name = "Changes",
        type_ = "integer",
        json_path = ".metadata.generation",
        description = "How often this page was written. It stands still while nothing changes."
    ),
    printcolumn(
        name = "Of",
        type_ = "integer",
        json_path = ".spec.shards",
        priority = 1,
        description = "How many shards the cluster has."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.cluster == oldSelf.cluster && self.page == oldSelf.page && self.shards == oldSelf.shards && has(self.groups) == has(oldSelf.groups) && (!has(self.groups) || self.groups == oldSelf.groups) && (oldSelf.entries.size() == 0 || self.entries.size() == oldSelf.entries.size())"
).message(
    "a page of the shard map stays what it is, or its shards would have no owner; leave it to the nodes of the cluster"
))]
pub struct ShardMapSpec {
    /// The name of the ActorCluster, in the same namespace.
    #[schemars(length(max = 40))]
    pub cluster: String,
    /// The shards of this page, such as `256-511`; for people.
    pub range: String,
    /// The page's number, from 0.
    #[schemars(with = "i32", range(min = 0, max = 63))]
    pub page: u16,
    /// How many shards the cluster has in all.
    #[schemars(with = "i32", range(min = 1, max = 16384))]
    pub shards: u16,
    /// The groups of nodes that have shards of their own: the last ones, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub groups: Vec<ShardGroup>,
    /// The stores that belong to the cluster; on page 0 only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The group in whose shards the actors of a type are, for each type that a member has ever served; empty for those in
    /// the general ones. On page 0 only, and only if there are groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    /// The entries of this page's shards, in order; empty until the first assignment.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub entries: Vec<Entry>,
}

/// A shard's place in the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The ownership number; it only grows.
    #[schemars(with = "i64", range(min = 0))]
    pub epoch: u64,
    /// Who serves the shard.
    pub owner: NodeRun,
    /// The store of the owner of the epoch before.
    pub prev: Option<String>,
    /// The stores that hold every acknowledged commit.
    pub in_sync: Vec<String>,
    /// What is known about the owner of the epoch before.
    #[serde(default)]
    pub evidence: Evidence,
}

/// One run of a node on its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRun {
    /// The id of the store, a UUID.
    pub store: String,
    /// Which run on it.
    #[schemars(with = "i64", range(min = 0))]
    pub incarnation: u64,
}

/// What is known about the owner of the epoch before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Evidence {
    /// Nothing.
    #[default]
    None,
    /// That run has ended for certain.
    Dead,
}

/// A store that belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The id of the store, a UUID.
    pub store: String,
    /// The name of the node that runs on it.
    pub node: String,
    /// The highest incarnation seen. A start that does not exceed it refuses.
    #[schemars(with = "i64", range(min = 0))]
    pub incarnation: u64,
    /// The group that it belongs to for ever; none: it is a general node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A group of nodes that has shards of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardGroup {
    /// Its name.
    #[schemars(length(max = 15))]
    pub name: String,
    /// How many shards it has.
    #[schemars(with = "i32", range(min = 1, max = 16384))]
    pub shards: u16,
}

impl From<&NodeGroup> for ShardGroup {
    fn from(group: &NodeGroup) -> Self {
        Self { name: group.name.clone(), shards: group.shards }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page() -> Value {
        let store = "0197e1b2-7c1a-7e1f-8d3a-0123456789ab";
        json!({
            "cluster": "demo",
            "range": "0-255",
            "page": 0,
            "shards": 1024,
            "members": [{"store": store, "node": "demo-0", "incarnation": 3}],
            "entries": [{
                "epoch": 5,
                "owner": {"store": store, "incarnation": 3},
                "prev": null,
                "inSync": [store],
                "evidence": "dead",
            }],
        })
    }

    fn shard_map(spec: Value) -> ShardMap {
        ShardMap::new("demo-0", serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_page_of_the_runtime_fits_and_comes_back_unchanged() {
        let read: ShardMapSpec = serde_json::from_value(page()).unwrap();
        assert_eq!(read.entries[0].evidence, Evidence::Dead);
        assert_eq!(serde_json::to_value(read).unwrap(), page());
    }

    #[test]
    fn a_page_with_groups_fits_and_keeps_them() {
        let mut spec = page();
        spec["groups"] = json!([{"name": "gpu", "shards": 64}]);
        spec["members"][0]["group"] = json!("gpu");
        spec["types"] = json!({"Counter": "", "Renderer": "gpu"});
        let read: ShardMapSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), spec);
        let old = shard_map(spec.clone());
        spec["types"]["Upscaler"] = json!("gpu");
        assert_eq!(shard_map(spec.clone()).validate_cel_update(&old), Ok(()));
        for other in [json!([{"name": "gpu", "shards": 63}]), json!([])] {
            spec["groups"] = other;
            assert!(shard_map(spec.clone()).validate_cel_update(&old).is_err(), "{}", spec["groups"]);
        }
    }

    #[test]
    fn entries_may_change_but_neither_go_nor_belong_to_another_page() {
        let old = shard_map(page());
        let changed = |pointer: &str, value: Value| {
            let mut spec = page();
            *spec.pointer_mut(pointer).unwrap() = value;
            shard_map(spec)
        };
        assert_eq!(changed("/entries/0/epoch", json!(6)).validate_cel_update(&old), Ok(()));
        assert_eq!(old.validate_cel_update(&changed("/entries", json!([]))), Ok(()));
        for (pointer, value) in [
            ("/entries", json!([])),
            ("/cluster", json!("other")),
            ("/page", json!(1)),
            ("/shards", json!(512)),
        ] {
            let errors = changed(pointer, value).validate_cel_update(&old).unwrap_err();
            let message = &errors.as_slice()[0].message;
            assert!(message.ends_with("; leave it to the nodes of the cluster"), "{message}");
        }
    }
}
