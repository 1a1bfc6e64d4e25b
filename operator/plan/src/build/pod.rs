//! The pod of a node.
//!
//! Whatever changes this template restarts every node, one at a time. So it has nothing in it that may change without
//! need, such as certificates, which a node reloads, or the version of the operator.

use greenroom_crds::{Engine, names};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Map, Value, json};

use super::config_map::{self, DRAIN_SECONDS};
use super::node_set::NodeSet;
use super::{Target, labels, seal};
use crate::hash;
use crate::quantity::canonical;

/// Whom the node's processes run as.
const USER: u32 = 65_532;
/// What a pod gets beyond the time in which its node may drain, in seconds: to flush and to end.
const GRACE_BEYOND_DRAIN: u64 = 15;

/// The template, with its own hash in it.
pub(super) fn template(nodes: NodeSet) -> Value {
    let (target, settings) = (nodes.target, nodes.pod());
    let mut metadata = json!({"labels": nodes.labelled(labels::pod(target)), "annotations": {
        "kubectl.kubernetes.io/default-container": names::NODE_CONTAINER,
        (names::CONFIG_HASH_ANNOTATION): hash::of_text(&config_map::file(target)),
    }});
    for (field, more) in [("labels", &settings.labels), ("annotations", &settings.annotations)] {
        for (key, value) in more {
            let own = metadata[field].get(key).is_some() && key != "kubectl.kubernetes.io/default-container";
            if !own {
                metadata[field][key.as_str()] = value.as_str().into();
            }
        }
    }
    let mut template = json!({"metadata": metadata, "spec": pod(nodes)});
    seal(&mut template);
    template
}

fn pod(nodes: NodeSet) -> Value {
    let (target, settings) = (nodes.target, nodes.pod());
    let mut pod = json!({
        "serviceAccountName": names::node_objects(target.name()),
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": grace(target),
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(nodes)],
        "volumes": volumes(target),
        "topologySpreadConstraints": spread(nodes),
    });
    let secrets = &target.settings.image_pull_secrets;
    if !secrets.is_empty() {
        pod["imagePullSecrets"] = secrets.iter().map(|name| json!({"name": name})).collect();
    }
    if !settings.node_selector.is_empty() {
        pod["nodeSelector"] = json!(settings.node_selector);
    }
    if !settings.tolerations.is_empty() {
        pod["tolerations"] = json!(settings.tolerations);
    }
    if let Some(affinity) = &settings.affinity {
        pod["affinity"] = json!(affinity);
    }
    pod
}

/// The stock image holds the whole command line, so it is told to be a node; another image is the node program.
fn container(nodes: NodeSet) -> Value {
    let target = nodes.target;
    let port = |(name, port): (&str, u16)| json!({"name": name, "containerPort": port, "protocol": "TCP"});
    let mut container = json!({
        "name": names::NODE_CONTAINER,
        "image": target.valid.image,
        "env": environment(nodes),
        "ports": [
            port(names::GATEWAY_PORT),
            port(names::MESH_PORT),
            port(names::ADMIN_PORT),
            port(names::HEALTH_PORT),
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": names::DATA_VOLUME, "mountPath": names::DATA_DIR},
            {"name": "config", "mountPath": names::CONFIG_DIR, "readOnly": true},
            {"name": "tls", "mountPath": names::TLS_DIR, "readOnly": true},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    });
    for (probe, definition) in probes() {
        container[probe] = definition;
    }
    if target.spec().image.is_none() {
        container["args"] = json!(["node"]);
    }
    if let Some(policy) = &target.settings.image_pull_policy {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    if let Some(resources) = nodes.resources().map(printed) {
        container["resources"] = resources;
    }
    container
}

/// Start and life are told by the process alone: a node may wait long for its shards, or for the others, and a restart
/// would not help. Only what sends clients to it asks whether it serves.
fn probes() -> [(&'static str, Value); 3] {
    let probe = |path: &str, period: u32, timeout: u32, failures: u32| {
        json!({
            "httpGet": {"path": path, "port": names::HEALTH_PORT.0},
            "periodSeconds": period,
            "timeoutSeconds": timeout,
            "failureThreshold": failures,
        })
    };
    [
        ("startupProbe", probe("/livez", 2, 2, 150)),
        ("livenessProbe", probe("/livez", 10, 5, 6)),
        ("readinessProbe", probe("/readyz", 2, 2, 2)),
    ]
}

/// Who the node is, where its settings are, and what the user adds.
fn environment(nodes: NodeSet) -> Vec<Value> {
    let from_pod =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut environment = vec![
        from_pod("GREENROOM_NODE", "metadata.name"),
        from_pod("GREENROOM_NAMESPACE", "metadata.namespace"),
        json!({"name": "GREENROOM_CONFIG", "value": format!("{}/{}", names::CONFIG_DIR, names::CONFIG_FILE)}),
    ];
    if let Some(group) = nodes.group_name() {
        environment.push(json!({"name": "GREENROOM_GROUP", "value": group}));
    }
    environment.extend(nodes.target.spec().env.iter().map(|variable| {
        let mut variable = json!(variable);
        if let Some(divisor) = variable.pointer_mut("/valueFrom/resourceFieldRef/divisor") {
            *divisor = canonical(divisor.as_str().unwrap_or_default()).into();
        }
        variable
    }));
    environment
}

fn volumes(target: Target) -> Value {
    let mut volumes = vec![
        json!({"name": "config", "configMap": {"name": names::node_objects(target.name())}}),
        // Readable by the group, which is the pod's own.
        json!({"name": "tls", "secret": {"secretName": names::node_secret(target.name()), "defaultMode": 0o440}}),
        // The root is read-only, and SQLite as well as most libraries expect a place for temporary files.
        json!({"name": "tmp", "emptyDir": {}}),
    ];
    if target.spec().storage.engine == Engine::Memory {
        volumes.push(json!({"name": names::DATA_VOLUME, "emptyDir": {}}));
    }
    volumes.into()
}

/// Hosts, then zones: the nodes of a set are kept apart where that is possible. What the user says replaces it; a constraint that
/// names no pods means the nodes.
fn spread(nodes: NodeSet) -> Value {
    let selector = nodes.exact_selector();
    let own = &nodes.pod().topology_spread_constraints;
    if own.is_empty() {
        return ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
            .map(|key| {
                json!({
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": selector,
                })
            })
            .to_vec()
            .into();
    }
    let with_selector = own.iter().map(|constraint| {
        let mut constraint = json!(constraint);
        if constraint.get("labelSelector").is_none() {
            constraint["labelSelector"] = selector.clone();
        }
        constraint
    });
    with_selector.collect()
}

/// As the user says, with the quantities as an API server prints them.
fn printed(resources: &ResourceRequirements) -> Value {
    let mut printed = json!(resources);
    for (field, quantities) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        if let Some(quantities) = quantities {
            let canonical =
                |(name, Quantity(text)): (&String, &Quantity)| (name.clone(), canonical(text).into());
            printed[field] = quantities.iter().map(canonical).collect::<Map<_, _>>().into();
        }
    }
    printed
}

/// Longer than the node may drain; a user may have set that time in the environment.
fn grace(target: Target) -> u64 {
    let own = target.spec().env.iter().find(|variable| variable.name == "GREENROOM_DRAIN_SECONDS");
    let drain = own.and_then(|variable| variable.value.as_deref()?.parse().ok()).unwrap_or(DRAIN_SECONDS);
    drain.saturating_add(GRACE_BEYOND_DRAIN).min(24 * 60 * 60)
}
