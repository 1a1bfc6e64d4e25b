//! How many nodes may be away at once when hosts are emptied.

use greenroom_crds::names;
use serde_json::{Value, json};

use super::{Target, labels};

/// One. A node that does not serve anyway may always be evicted, or a broken one would keep its host from being emptied.
pub(super) fn build(target: Target) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": labels::metadata(target, names::pod_disruption_budget(target.name())),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels::selector(target)},
        },
    })
}
