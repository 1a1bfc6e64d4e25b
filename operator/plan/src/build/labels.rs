//! The metadata that all objects of a cluster share.

use greenroom_crds::{ActorCluster, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use serde_json::{Value, json};

use super::Target;

/// Name, namespace, labels, and the ActorCluster as the owner, so that the objects go with it.
pub(super) fn metadata(target: Target, name: String) -> Value {
    json!({
        "name": name,
        "namespace": target.namespace(),
        "labels": common(target),
        "ownerReferences": [owner(target)],
    })
}

/// The labels of every object.
pub(super) fn common(target: Target) -> Value {
    json!({
        "app.kubernetes.io/name": names::APP_NAME,
        "app.kubernetes.io/instance": target.name(),
        "app.kubernetes.io/managed-by": names::MANAGED_BY,
        (names::CLUSTER_LABEL): target.name(),
    })
}

/// The labels of the pods.
pub(super) fn pod(target: Target) -> Value {
    let mut labels = common(target);
    labels["app.kubernetes.io/component"] = names::NODE_COMPONENT.into();
    labels
}

/// What selects the pods. It never changes: a StatefulSet could not follow.
pub(super) fn selector(target: Target) -> Value {
    json!({
        "app.kubernetes.io/component": names::NODE_COMPONENT,
        (names::CLUSTER_LABEL): target.name(),
    })
}

/// It does not hold up the deletion of the cluster, which would need another right where a plug-in checks that.
pub(super) fn owner(target: Target) -> OwnerReference {
    OwnerReference {
        api_version: ActorCluster::api_version(&()).into_owned(),
        kind: ActorCluster::kind(&()).into_owned(),
        name: target.name().to_owned(),
        uid: target.cluster.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}
