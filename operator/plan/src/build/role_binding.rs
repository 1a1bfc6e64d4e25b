//! Gives the nodes their role.

use greenroom_crds::names;
use serde_json::{Value, json};

use super::{Target, labels};

/// The role of the nodes, bound to their account.
pub(super) fn build(target: Target) -> Value {
    let name = names::node_objects(target.name());
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": labels::metadata(target, name.clone()),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": target.namespace()}],
    })
}
