//! Who may connect to the nodes.
//!
//! Only what comes in is restricted. What goes out is not: it would have to name the API server and the DNS servers,
//! whose addresses differ from cluster to cluster, and the services that a user's actors call.

use greenroom_crds::names;
use serde_json::{Value, json};

use super::{Target, labels};

/// One rule per port. Clients and whoever reads metrics may come from anywhere: kubelets, load balancers and scrapers in
/// the host's network have addresses that no selector matches.
pub(super) fn build(target: Target) -> Value {
    let port = |(_, port): (&str, u16)| json!({"protocol": "TCP", "port": port});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": labels::metadata(target, names::node_objects(target.name())),
        "spec": {
            "podSelector": {"matchLabels": labels::selector(target)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [port(names::GATEWAY_PORT), port(names::HEALTH_PORT)]},
                {
                    "ports": [port(names::MESH_PORT)],
                    "from": [{"podSelector": {"matchLabels": labels::selector(target)}}],
                },
                {
                    "ports": [port(names::ADMIN_PORT)],
                    "from": [{
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": target.settings.namespace},
                        },
                        "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": names::PART_OF}},
                    }],
                },
            ],
        },
    })
}
