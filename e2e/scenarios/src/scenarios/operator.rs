//! What the operator does with the objects of a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, condition, counters};
use crate::kubectl::eventually;
use crate::scope::Scope;

/// What the operator makes, and the pages.
const OBJECTS: &str = "actorclusters,statefulsets,services,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,secrets,shardmaps,pods";

pub(super) async fn puts_back(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "owned", &counters("owned", 1)).await?;
    let service = "service/owned-gateway";
    scope
        .kubectl(&[
            "patch",
            service,
            "--type=merge",
            "-p",
            r#"{"spec":{"ports":[{"name":"gateway","port":7999,"targetPort":7400}]}}"#,
        ])
        .await?;
    scope.kubectl(&["annotate", service, "example.com/mine=stays"]).await?;
    eventually(Duration::from_secs(30), "the port is put back", || async {
        let found = scope.json(&["get", service]).await?;
        ensure!(found["spec"]["ports"][0]["port"] == 7400, "{}", found["spec"]);
        ensure!(found["metadata"]["annotations"]["example.com/mine"] == "stays", "{}", found["metadata"]);
        Ok(())
    })
    .await?;
    scope.kubectl(&["delete", "poddisruptionbudget", "owned"]).await?;
    eventually(Duration::from_secs(30), "the budget is there again", || {
        scope.kubectl(&["get", "poddisruptionbudget", "owned"])
    })
    .await?;
    cluster.ready().await
}

pub(super) async fn idle_writes_nothing(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "idle", &counters("idle", 3)).await?;
    cluster.call("Counter/x", "add", r#"{"by":1}"#).await?;
    // What the first call changed in the counts of the status is written within a minute.
    tokio::time::sleep(Duration::from_secs(65)).await;
    let before = versions(&scope).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = versions(&scope).await?;
    for (object, version) in &after {
        let was = before.get(object).map_or("nothing", String::as_str);
        ensure!(was == version, "{object} was written in an idle minute: {was} became {version}");
    }
    ensure!(before.len() == after.len(), "{before:?} became {after:?}");
    Ok(())
}

async fn versions(scope: &Scope) -> Result<BTreeMap<String, String>> {
    let found = scope.json(&["get", OBJECTS]).await?;
    let items = found["items"].as_array().context("no list")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let version = |item: &serde_json::Value| {
        let name = format!("{}/{}", text(&item["kind"]), text(&item["metadata"]["name"]));
        (name, text(&item["metadata"]["resourceVersion"]))
    };
    Ok(items.iter().map(version).collect())
}

pub(super) async fn refuses_scaling(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "scaled", &counters("scaled", 2)).await?;
    cluster.call("Counter/x", "add", r#"{"by":5}"#).await?;
    let before = cluster.pod_uids(2).await?;
    scope.kubectl(&["scale", "actorcluster", "scaled", "--replicas=1"]).await?;
    eventually(Duration::from_secs(60), "the condition says that scaling is refused", || async {
        let found = cluster.get().await?;
        let stalled = condition(&found, "Stalled");
        ensure!(stalled["status"] == "True", "{}", found["status"]);
        ensure!(stalled["message"].as_str().is_some_and(|message| message.contains("replicas")), "{stalled}");
        Ok(())
    })
    .await?;
    ensure!(cluster.pod_uids(2).await? == before, "a pod was touched");
    ensure!(cluster.call("Counter/x", "total", "{}").await? == "5");
    scope.kubectl(&["scale", "actorcluster", "scaled", "--replicas=2"]).await?;
    cluster.ready().await
}
