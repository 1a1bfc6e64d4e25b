//! Who the nodes are to the API server.

use greenroom_crds::names;
use serde_json::{Value, json};

use super::{Target, labels};

/// The token is mounted by the pods that need it, not by everything that names this account.
pub(super) fn build(target: Target) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": labels::metadata(target, names::node_objects(target.name())),
        "automountServiceAccountToken": false,
    })
}
