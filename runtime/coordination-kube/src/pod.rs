//! When a pod counts as a present node, and where that node is reached. Pure.
//!
//! A node is present while its container runs, from before it is ready (it must join first) until it has ended: a pod
//! that is being deleted still serves its shards until it has drained.
//!
//! **A host that died** leaves the containers of its pods as running, since nobody is there to say otherwise; Kubernetes
//! marks the pods as not ready instead. It does not touch `ContainersReady`, which only the host sets. So a pod that is
//! not ready though all its containers are was marked by Kubernetes: it is not present. A host that was merely cut off
//! may come back, and so does the pod then. No safety rests on it.

use std::net::IpAddr;

use greenroom_cluster::coordination::Peer;
use greenroom_crds::names;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::ResourceExt;

/// The node in this pod, if it runs.
pub(crate) fn peer(pod: &Pod) -> Option<Peer> {
    let status = pod.status.as_ref()?;
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let gated = pod.spec.as_ref().is_some_and(|spec| spec.readiness_gates.is_some());
    if ended || !node_runs(status) || (!gated && host_is_lost(status)) {
        return None;
    }
    let ip: IpAddr = status.pod_ip.as_deref()?.parse().ok()?;
    Some(at(&pod.name_any(), ip))
}

/// A node by its name and the address of its pod.
fn at(name: &str, ip: IpAddr) -> Peer {
    // The brackets around an IPv6 address come with this form.
    let address = |(_, port): (&str, u16)| std::net::SocketAddr::new(ip, port).to_string();
    Peer {
        name: name.to_owned(),
        mesh_address: address(names::MESH_PORT),
        gateway_address: address(names::GATEWAY_PORT),
        admin_address: address(names::ADMIN_PORT),
        health_address: address(names::HEALTH_PORT),
        // On its host; nobody elsewhere has a use for it.
        pid: 0,
    }
}

fn node_runs(status: &PodStatus) -> bool {
    let mut containers = status.container_statuses.iter().flatten();
    let node = containers.find(|container| container.name == names::NODE_CONTAINER);
    node.and_then(|node| node.state.as_ref()).is_some_and(|state| state.running.is_some())
}

fn host_is_lost(status: &PodStatus) -> bool {
    let is = |name: &str, value: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|condition| condition.type_ == name && condition.status == value)
    };
    (is("Ready", "False") || is("Ready", "Unknown")) && is("ContainersReady", "True")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(change: impl FnOnce(&mut Value)) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "demo-1", "namespace": "shop"},
            "status": {
                "phase": "Running",
                "podIP": "10.1.2.3",
                "conditions": [
                    {"type": "Ready", "status": "True"},
                    {"type": "ContainersReady", "status": "True"},
                ],
                "containerStatuses": [
                    {"name": "sidecar", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": {"running": {}}},
                    {"name": "node", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": {"running": {}}},
                ],
            },
        });
        change(&mut pod);
        serde_json::from_value(pod).unwrap()
    }

    fn is_present(change: impl FnOnce(&mut Value)) -> bool {
        peer(&pod(change)).is_some()
    }

    #[test]
    fn a_running_pod_is_reached_at_its_address() {
        let found = peer(&pod(|_| {})).unwrap();
        assert_eq!((&*found.name, &*found.mesh_address), ("demo-1", "10.1.2.3:7401"));
        assert_eq!((&*found.gateway_address, &*found.admin_address), ("10.1.2.3:7400", "10.1.2.3:7402"));
        assert_eq!(found.health_address, "10.1.2.3:7403");
        let found = peer(&pod(|pod| pod["status"]["podIP"] = json!("fd00::7"))).unwrap();
        assert_eq!(found.mesh_address, "[fd00::7]:7401");
    }

    #[test]
    fn a_pod_counts_from_its_start_until_its_end() {
        let set = |pointer: &'static str, value: Value| {
            move |pod: &mut Value| *pod.pointer_mut(pointer).unwrap() = value
        };
        assert!(!is_present(set("/status/phase", json!("Failed"))));
        assert!(!is_present(set("/status/phase", json!("Succeeded"))));
        assert!(!is_present(set("/status/podIP", json!(null))));
        assert!(!is_present(set("/status/containerStatuses/1/state", json!({"waiting": {}}))));
        assert!(!is_present(set("/status/containerStatuses/1/name", json!("other"))));
        assert!(!is_present(set("/status", json!(null))));
        // Not ready yet, by the word of its host.
        assert!(is_present(set(
            "/status/conditions",
            json!([{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "False"}])
        )));
        // Being deleted, and serving until it has drained.
        assert!(is_present(|pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z")));
    }

    #[test]
    fn a_pod_on_a_lost_host_does_not_count() {
        let lost = |pod: &mut Value| pod["status"]["conditions"][0]["status"] = json!("False");
        assert!(!is_present(lost));
        // With a gate of its own a pod may be unready for other reasons.
        assert!(is_present(|pod| {
            lost(pod);
            pod["spec"] = json!({"containers": [], "readinessGates": [{"conditionType": "example.com/x"}]});
        }));
    }
}
