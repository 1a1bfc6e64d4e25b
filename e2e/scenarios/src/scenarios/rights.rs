//! Rights: what the chart and the operator grant, compared with what the audit log shows to have been used.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, counters};
use crate::install::NAMESPACE;
use crate::kubectl::json;
use crate::scope::Scope;

/// Why a right may be granted that the log shows nobody to use.
fn reason(right: &str) -> Option<&'static str> {
    let (verb, resource) = right.split_once(' ')?;
    match (verb, resource) {
        // What does not exist yet is made by applying it: authorized as `create`, logged as `patch`.
        ("create", _) if MADE.contains(&resource) => Some("an apply that creates"),
        ("delete", _) if MADE.contains(&resource) => Some("an object that a later version no longer makes"),
        // Nobody may grant what he may not do himself.
        ("get", "/pods") | ("get" | "update", "greenroom.dev/shardmaps") => Some("granted on to nodes"),
        ("update", "/secrets") => Some("the placement API's certificates are renewed after days"),
        _ => None,
    }
}

/// What the operator makes for a cluster.
const MADE: &[&str] = &[
    "/configmaps",
    "/serviceaccounts",
    "/services",
    "apps/statefulsets",
    "networking.k8s.io/networkpolicies",
    "policy/poddisruptionbudgets",
    "rbac.authorization.k8s.io/rolebindings",
    "rbac.authorization.k8s.io/roles",
];

pub(super) async fn none_unused(scope: Scope) -> Result<()> {
    let log = scope.settings.audit_log.as_deref().context("no audit log")?;
    Cluster::apply(&scope, "rights", &counters("rights", 1)).await?;
    let log = std::fs::read_to_string(log)?;
    // Of the chart: what operator and placement API may do. What people may do is granted to nobody here.
    let of_the_chart = "app.kubernetes.io/part-of=greenroom,app.kubernetes.io/managed-by=Helm";
    let parts = used(&log, |account| account.starts_with(&format!("system:serviceaccount:{NAMESPACE}:")));
    let mut unused = BTreeSet::new();
    for kind in ["clusterroles", "roles"] {
        let roles = json(&["get", kind, "-A", "-l", of_the_chart]).await?;
        let roles = roles["items"].as_array().context("no list")?;
        for role in roles.iter().filter(|role| !is_for_people(role)) {
            unused.extend(granted(role).into_iter().filter(|right| !parts.contains(right)));
        }
    }
    // Of the operator: what the nodes of a cluster may do, whichever cluster of all scenarios did it.
    let nodes = used(&log, |account| account.ends_with("-node"));
    let role = scope.json(&["get", "role", "rights-node"]).await?;
    unused.extend(granted(&role).into_iter().filter(|right| !nodes.contains(right)));

    let unexplained: Vec<_> = unused.iter().filter(|right| reason(right).is_none()).collect();
    ensure!(unexplained.is_empty(), "granted and never used: {unexplained:#?}");
    Ok(())
}

/// Kubernetes adds such a role to its own `view`, `edit` and `admin`.
fn is_for_people(role: &Value) -> bool {
    let labels = role["metadata"]["labels"].as_object();
    labels.is_some_and(|labels| labels.keys().any(|label| label.contains("aggregate-to-")))
}

/// The rights that a role grants, as `verb group/resource`.
fn granted(role: &Value) -> Vec<String> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.extend(texts(&rule["verbs"]).iter().map(|verb| format!("{verb} {group}/{resource}")));
            }
        }
    }
    rights
}

/// The rights that these accounts have used.
fn used(log: &str, account: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let by_them = events.filter(|event| event["user"]["username"].as_str().is_some_and(&account));
    by_them
        .map(|event| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let object = &event["objectRef"];
            let resource = match object["subresource"].as_str() {
                Some(subresource) => format!("{}/{subresource}", text(&object["resource"])),
                None => text(&object["resource"]),
            };
            format!("{} {}/{resource}", text(&event["verb"]), text(&object["apiGroup"]))
        })
        .collect()
}
