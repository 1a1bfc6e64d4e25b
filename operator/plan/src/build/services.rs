//! The Services: one gives the nodes their names, the other is where clients connect.

use greenroom_crds::{ServiceType, names};
use serde_json::{Value, json};

use super::{Target, labels};

/// Headless. A node must be found before it is ready: to become ready it needs the others.
pub(super) fn mesh(target: Target) -> Value {
    let (name, port) = names::MESH_PORT;
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": labels::metadata(target, names::mesh_service(target.name())),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": labels::selector(target),
            "ports": [{"name": name, "port": port, "targetPort": name, "protocol": "TCP"}],
        },
    })
}

/// Any node that is ready takes a client's call and passes it on.
pub(super) fn gateway(target: Target) -> Value {
    let gateway = &target.spec().gateway;
    let service_type = match gateway.service_type {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    };
    let (name, _) = names::GATEWAY_PORT;
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": labels::metadata(target, names::gateway_service(target.name())),
        "spec": {
            "type": service_type,
            "selector": labels::selector(target),
            "ports": [{
                "name": name,
                "port": gateway.port,
                "targetPort": name,
                "protocol": "TCP",
                // Tells proxies that it is HTTP/2 without TLS, as gRPC is.
                "appProtocol": "kubernetes.io/h2c",
            }],
        },
    })
}
