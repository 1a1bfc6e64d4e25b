//! What keeps the pods of a set of nodes: stable names, a volume each, and no updates of its own.
//!
//! `OnDelete`: the operator says which pod is next, after draining it. `Parallel`: the nodes need each other to start.
//! The templates of the claims cannot be changed once the object exists, so what is written for them here must stay.

use greenroom_crds::{Engine, RetentionPolicy, names};
use serde_json::{Value, json};

use super::node_set::NodeSet;
use super::{Target, labels, pod};
use crate::quantity::canonical;

/// The StatefulSet. Its annotations note what was decided when it was made; see `validate`.
pub(super) fn build(nodes: NodeSet) -> Value {
    let (target, spec) = (nodes.target, nodes.target.spec());
    let mut metadata = labels::metadata(target, nodes.stateful_set());
    metadata["labels"] = nodes.labelled(metadata["labels"].take());
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {
            "replicas": nodes.replicas(),
            "serviceName": names::mesh_service(target.name()),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": policy(spec.storage.retention.when_deleted),
                "whenScaled": policy(spec.storage.retention.when_scaled),
            },
            "selector": nodes.selector(),
            "template": pod::template(nodes),
        },
    });
    object["metadata"]["annotations"][names::REPLICAS_ANNOTATION] = nodes.replicas().to_string().into();
    if spec.image.is_none() {
        object["metadata"]["annotations"][names::STOCK_IMAGE_ANNOTATION] = target.valid.image.as_str().into();
    }
    if spec.storage.engine != Engine::Memory {
        object["spec"]["volumeClaimTemplates"] = json!([claim(target)]);
    }
    object
}

fn policy(policy: RetentionPolicy) -> &'static str {
    match policy {
        RetentionPolicy::Retain => "Retain",
        RetentionPolicy::Delete => "Delete",
    }
}

/// One pod at most may use a volume: two of the same name could otherwise both work on it for a while.
fn claim(target: Target) -> Value {
    let storage = &target.spec().storage;
    let mut claim = json!({
        "metadata": {"name": names::DATA_VOLUME},
        "spec": {
            "accessModes": ["ReadWriteOncePod"],
            "resources": {"requests": {"storage": canonical(&storage.size.0)}},
        },
    });
    if let Some(class) = &storage.storage_class_name {
        claim["spec"]["storageClassName"] = class.as_str().into();
    }
    claim
}
