//! Rights: what the chart and the operator grant, compared with what the audit log shows to have been used.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::install::NAMESPACE;
use crate::kubectl::json;
use crate::scope::Scope;

/// Rights that are granted and that no scenario uses, each with its reason.
const UNUSED: &[(&str, &str)] = &[];

pub(super) async fn none_unused(scope: Scope) -> Result<()> {
    let log = scope.settings.audit_log.as_deref().context("no audit log")?;
    let log = std::fs::read_to_string(log)?;
    let accounts = [format!("system:serviceaccount:{NAMESPACE}:")];
    let used = used(&log, &accounts);
    let mut unused = BTreeSet::new();
    for kind in ["clusterroles", "roles"] {
        let roles = json(&["get", kind, "-A", "-l", "app.kubernetes.io/part-of=greenroom"]).await?;
        for role in roles["items"].as_array().context("no list")? {
            // Roles for people are granted to nobody here.
            if role["metadata"]["labels"]["greenroom.dev/for"] == "people" {
                continue;
            }
            unused.extend(granted(role).into_iter().filter(|right| !used.contains(right)));
        }
    }
    let unexplained: Vec<_> =
        unused.iter().filter(|right| UNUSED.iter().all(|(listed, _)| listed != right)).collect();
    ensure!(unexplained.is_empty(), "granted and never used: {unexplained:#?}");
    Ok(())
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
fn used(log: &str, accounts: &[String]) -> BTreeSet<String> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let by_them = events.filter(|event| {
        event["user"]["username"]
            .as_str()
            .is_some_and(|user| accounts.iter().any(|account| user.starts_with(account.as_str())))
    });
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
