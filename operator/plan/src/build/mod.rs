//! The objects of a cluster, one kind per file.
//!
//! Each is written as an API server would give it back: no nulls, no empty objects that mean nothing, quantities in
//! canonical form. So what is wanted is a part of what is there after a round trip, and a difference is a real one.
//! Each object carries the hash of itself, by which a field that is no longer wanted is noticed, too.

mod config_map;
mod labels;
mod network_policy;
mod node_set;
mod pod;
mod pod_disruption_budget;
mod role;
mod role_binding;
mod service_account;
mod services;
mod shard_map;
mod stateful_set;

use std::collections::BTreeMap;

use greenroom_crds::{ActorCluster, ActorClusterSpec, ShardMap, names};
use serde_json::Value;

use crate::hash;
use crate::observed::Settings;
use crate::step::{Kind, ObjectKey};
use crate::validate::Valid;
use node_set::NodeSet;

/// For whom the objects are built.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Who owns them.
    pub cluster: &'a ActorCluster,
    /// What is to be run.
    pub valid: &'a Valid,
    /// How the operator was installed.
    pub settings: &'a Settings,
}

impl<'a> Target<'a> {
    fn spec(&self) -> &'a ActorClusterSpec {
        &self.valid.spec
    }

    fn name(&self) -> &'a str {
        self.cluster.metadata.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> &'a str {
        self.cluster.metadata.namespace.as_deref().unwrap_or_default()
    }
}

/// The objects that the operator applies, in the order in which it does.
pub fn objects(target: Target) -> BTreeMap<ObjectKey, Value> {
    let built = [
        (Kind::ServiceAccount, service_account::build(target)),
        (Kind::Role, role::build(target)),
        (Kind::RoleBinding, role_binding::build(target)),
        (Kind::ConfigMap, config_map::build(target)),
        (Kind::Service, services::mesh(target)),
        (Kind::Service, services::gateway(target)),
        (Kind::NetworkPolicy, network_policy::build(target)),
        (Kind::PodDisruptionBudget, pod_disruption_budget::build(target)),
    ];
    let stateful_sets = NodeSet::all(target).map(|nodes| (Kind::StatefulSet, stateful_set::build(nodes)));
    let keyed = built.into_iter().chain(stateful_sets).map(|(kind, mut object)| {
        seal(&mut object);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        (ObjectKey { kind, name }, object)
    });
    keyed.collect()
}

/// The pages of the shard map, as they are created.
pub fn pages(target: Target) -> Vec<ShardMap> {
    (0..shard_map::count(target.spec().total_shards())).map(|page| shard_map::build(target, page)).collect()
}

/// The hash of the pod template that the nodes shall have.
pub(crate) fn template_hash(stateful_set: &Value) -> Option<&str> {
    stateful_set["spec"]["template"]["metadata"]["annotations"].get(names::HASH_ANNOTATION)?.as_str()
}

/// The hash that an object carries.
pub(crate) fn hash_of(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"].get(names::HASH_ANNOTATION)?.as_str()
}

/// Writes the hash of an object, or of a pod template, into its annotations.
fn seal(object: &mut Value) {
    let hash = hash::of(object);
    object["metadata"]["annotations"][names::HASH_ANNOTATION] = hash.into();
}
