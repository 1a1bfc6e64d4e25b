//! What the nodes may do: keep their own shard map, and see who else is there.

use greenroom_crds::names;
use serde_json::{Value, json};

use super::{Target, labels, shard_map};

/// Pages are named one by one, which excludes `list`: a node watches each page on its own. Pods cannot be named ahead,
/// so those of the namespace can be read.
pub(super) fn build(target: Target) -> Value {
    let count = shard_map::count(target.spec().total_shards());
    let pages: Vec<_> = (0..count).map(|page| names::shard_map(target.name(), page)).collect();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": labels::metadata(target, names::node_objects(target.name())),
        "rules": [
            {
                "apiGroups": [names::GROUP],
                "resources": ["shardmaps"],
                "resourceNames": pages,
                "verbs": ["get", "update", "watch"],
            },
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        ],
    })
}
