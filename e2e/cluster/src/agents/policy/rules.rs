//! From policies to the nftables table of a node (networking.k8s.io/v1, IPv4).
//!
//! A pod that some policy selects for a direction has a chain for that direction: a line per peer and port that a
//! policy allows, and then a drop. Policies only ever add lines, so their order does not matter.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

pub(super) struct Objects {
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) namespaces: Vec<Arc<Namespace>>,
    pub(super) policies: Vec<Arc<NetworkPolicy>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// As a policy's type, a chain's prefix, this pod's side of a packet, and the other side.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Ingress => ("Ingress", "in", "daddr", "saddr"),
            Self::Egress => ("Egress", "out", "saddr", "daddr"),
        }
    }
}

/// What one rule of either direction says: whom (nobody named: all), and which ports (none named: all).
struct Rule<'a> {
    peers: &'a [NetworkPolicyPeer],
    ports: &'a [NetworkPolicyPort],
}

/// The table of the pods on `node`. It replaces an older one: declared, so that deleting it cannot fail, and deleted.
pub(super) fn table(node: &str, objects: &Objects) -> String {
    let (mut chains, mut jumps) = (String::new(), String::new());
    let pods: Vec<(&Pod, &str)> =
        objects.pods.iter().filter_map(|pod| Some((&**pod, address(pod)?))).collect();
    let own = pods
        .iter()
        .filter(|(pod, _)| pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(node)));
    for &(pod, address) in own {
        for direction in [Direction::Egress, Direction::Ingress] {
            let (_, prefix, own_side, _) = direction.words();
            let Some(lines) = allowed(pod, direction, objects, &pods) else { continue };
            let chain = format!("{prefix}_{}", address.replace('.', "_"));
            let _ = writeln!(jumps, "  ip {own_side} {address} jump {chain}");
            let _ = writeln!(
                chains,
                " chain {chain} {{ # {}/{}",
                pod.namespace().unwrap_or_default(),
                pod.name_any()
            );
            for line in lines {
                let _ = writeln!(chains, "  {line} return");
            }
            // A pod can always reach itself.
            let _ = writeln!(chains, "  ip saddr {address} ip daddr {address} return\n  counter drop\n }}");
        }
    }
    format!(
        "table ip policies\ndelete table ip policies\ntable ip policies {{\n{chains} chain forward {{\n  \
         type filter hook forward priority 10\n  ct state established,related accept\n{jumps} }}\n}}\n"
    )
}

/// The address of a pod that has one of its own and runs.
fn address(pod: &Pod) -> Option<&str> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let runs = matches!(status.phase.as_deref(), Some("Pending" | "Running"));
    status.pod_ip.as_deref().filter(|_| runs && spec.host_network != Some(true))
}

/// What the policies allow a pod in a direction; `None` when none of them selects it, which allows all.
fn allowed(pod: &Pod, direction: Direction, objects: &Objects, pods: &[(&Pod, &str)]) -> Option<Vec<String>> {
    let namespace = pod.namespace()?;
    let selecting = objects.policies.iter().filter(|policy| {
        policy.namespace().as_deref() == Some(&*namespace)
            && is_about(policy, direction)
            && selects_pod(policy, pod)
    });
    let mut lines = None;
    for policy in selecting {
        let lines = lines.get_or_insert_with(Vec::new);
        for rule in rules(policy, direction) {
            for (peer, peer_pod) in peers(&rule, direction, &namespace, objects, pods) {
                let receiver = if direction == Direction::Ingress { Some(pod) } else { peer_pod };
                lines.extend(ports(&rule, receiver).into_iter().map(|port| format!("{peer} {port}")));
            }
        }
    }
    lines
}

/// A policy that does not say is about ingress, and about egress if it has rules for that.
fn is_about(policy: &NetworkPolicy, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    match &spec.policy_types {
        Some(types) => types.iter().any(|name| name == direction.words().0),
        None => {
            direction == Direction::Ingress || spec.egress.as_ref().is_some_and(|rules| !rules.is_empty())
        }
    }
}

fn selects_pod(policy: &NetworkPolicy, pod: &Pod) -> bool {
    let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
    selector.is_none_or(|selector| matches(selector, pod.labels()))
}

fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

fn rules(policy: &NetworkPolicy, direction: Direction) -> Vec<Rule<'_>> {
    let Some(spec) = &policy.spec else { return Vec::new() };
    match direction {
        Direction::Ingress => {
            let rules = spec.ingress.iter().flatten();
            rules.map(|rule| Rule { peers: slice(&rule.from), ports: slice(&rule.ports) }).collect()
        }
        Direction::Egress => {
            let rules = spec.egress.iter().flatten();
            rules.map(|rule| Rule { peers: slice(&rule.to), ports: slice(&rule.ports) }).collect()
        }
    }
}

fn slice<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

/// A match for each peer of a rule; with the pod that it is, if it is one.
fn peers<'a>(
    rule: &Rule<'_>,
    direction: Direction,
    namespace: &str,
    objects: &Objects,
    pods: &[(&'a Pod, &str)],
) -> Vec<(String, Option<&'a Pod>)> {
    if rule.peers.is_empty() {
        return vec![(String::new(), None)];
    }
    let side = direction.words().3;
    let mut found = Vec::new();
    for peer in rule.peers {
        if let Some(block) = &peer.ip_block {
            if !block.cidr.contains(':') {
                let except = block.except.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
                let except = if except.is_empty() { except } else { format!(" ip {side} != {{ {except} }}") };
                found.push((format!("ip {side} {}{except}", block.cidr), None));
            }
            continue;
        }
        let named = pods.iter().filter(|(pod, _)| is_peer(peer, pod, namespace, objects));
        found.extend(named.map(|&(pod, address)| (format!("ip {side} {address}"), Some(pod))));
    }
    found
}

/// Without a selector for namespaces, a peer is in the policy's own.
fn is_peer(peer: &NetworkPolicyPeer, pod: &Pod, namespace: &str, objects: &Objects) -> bool {
    let pods_own = pod.namespace().unwrap_or_default();
    let namespace_fits = match &peer.namespace_selector {
        None => pods_own == namespace,
        Some(selector) => {
            let object = objects.namespaces.iter().find(|object| object.name_any() == pods_own);
            object.is_some_and(|object| matches(selector, object.labels()))
        }
    };
    namespace_fits && peer.pod_selector.as_ref().is_none_or(|selector| matches(selector, pod.labels()))
}

/// A match for each port of a rule; a named port is whatever the receiving pod calls so.
fn ports(rule: &Rule<'_>, receiver: Option<&Pod>) -> Vec<String> {
    if rule.ports.is_empty() {
        return vec![String::new()];
    }
    let mut found = Vec::new();
    for port in rule.ports {
        let protocol = port.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase();
        match &port.port {
            None => found.push(format!("meta l4proto {protocol}")),
            Some(IntOrString::Int(number)) => {
                let end = port.end_port.map(|end| format!("-{end}")).unwrap_or_default();
                found.push(format!("{protocol} dport {number}{end}"));
            }
            Some(IntOrString::String(name)) => {
                let containers = receiver.and_then(|pod| pod.spec.as_ref()).map(|spec| &spec.containers);
                let declared =
                    containers.into_iter().flatten().flat_map(|container| container.ports.iter().flatten());
                let named = declared.filter(|own| {
                    let own_protocol = own.protocol.as_deref().unwrap_or("TCP");
                    own.name.as_ref() == Some(name) && own_protocol.eq_ignore_ascii_case(&protocol)
                });
                found.extend(named.map(|own| format!("{protocol} dport {}", own.container_port)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, address: &str, node: &str) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}],
            },
            "status": {"phase": "Running", "podIP": address},
        })
    }

    fn table_with(policy: Value) -> String {
        let policy = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": policy});
        let namespace = json!({"metadata": {"name": "shop", "labels": {"team": "a"}}});
        let pods = [pod("web", "10.0.1.2", "node1"), pod("db", "10.0.2.2", "node2")];
        let objects = Objects {
            pods: pods.into_iter().map(|pod| Arc::new(serde_json::from_value(pod).unwrap())).collect(),
            namespaces: vec![Arc::new(serde_json::from_value(namespace).unwrap())],
            policies: vec![Arc::new(serde_json::from_value(policy).unwrap())],
        };
        table("node1", &objects)
    }

    #[test]
    fn a_pod_that_no_policy_selects_has_no_chain() {
        assert!(!table_with(json!({"podSelector": {"matchLabels": {"app": "db"}}})).contains("jump"));
    }

    #[test]
    fn peers_and_named_ports_become_addresses_and_numbers() {
        let table = table_with(json!({
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{
                "from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {"matchLabels": {"app": "db"}}}],
                "ports": [{"port": "http"}],
            }],
        }));
        assert!(table.contains("ip daddr 10.0.1.2 jump in_10_0_1_2"), "{table}");
        assert!(table.contains("ip saddr 10.0.2.2 tcp dport 8080 return"), "{table}");
        assert!(!table.contains("jump out"), "{table}");
    }

    #[test]
    fn a_policy_without_rules_denies_all_but_the_pod_itself() {
        let table = table_with(json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
        assert_eq!(table.matches(" return").count(), 2, "{table}");
        assert_eq!(table.matches("counter drop").count(), 2, "{table}");
    }

    #[test]
    fn blocks_keep_their_exceptions_and_ranges_their_ends() {
        let table = table_with(json!({
            "podSelector": {},
            "egress": [{
                "to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}}],
                "ports": [{"port": 53, "endPort": 55, "protocol": "UDP"}],
            }],
        }));
        let expected = "ip daddr 10.0.0.0/8 ip daddr != { 10.9.0.0/16 } udp dport 53-55 return";
        assert!(table.contains(expected), "{table}");
    }
}
