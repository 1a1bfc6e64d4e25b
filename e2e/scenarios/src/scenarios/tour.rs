//! What a new user does.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::kubectl::eventually;
use crate::scope::Scope;

/// From `kubectl apply` to the placement of an actor, as docs/kubernetes.md tells it.
pub(super) async fn quickstart(scope: Scope) -> Result<()> {
    let yaml = example(&scope, "counters")?;
    let cluster = Cluster::apply(&scope, "counters", &yaml).await?;

    let table = scope.kubectl(&["get", "actorclusters"]).await?;
    let columns: Vec<_> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    ensure!(columns == ["NAME", "READY", "DESIRED", "ACTIVATIONS", "AGE"], "{table}");
    ensure!(table.lines().any(|line| line.starts_with("counters") && line.contains(" 3 ")), "{table}");

    ensure!(cluster.call("Counter/page-1", "add", r#"{"by":3}"#).await? == "3", "the counter begins at 0");
    ensure!(cluster.call("Counter/page-1", "add", r#"{"by":4}"#).await? == "7", "the counter goes on from 3");

    let wide = scope.kubectl(&["get", "actorplacements", "-o", "wide"]).await?;
    let row = wide.lines().find(|line| line.contains("page-1")).context(wide.clone())?;
    ensure!(row.contains("Counter") && row.contains("counters-"), "{wide}");

    let shards = scope.kubectl(&["get", "shardmaps"]).await?;
    ensure!(shards.lines().count() == 5 && shards.contains("0-255"), "{shards}");

    let nodes = scope.greenroom(&["get", "nodes"]).await?;
    ensure!((0..3).all(|ordinal| nodes.contains(&cluster.pod_name(ordinal))), "{nodes}");
    let placements = scope.greenroom(&["get", "placements"]).await?;
    ensure!(placements.contains("page-1"), "{placements}");
    let described = scope.greenroom(&["describe", "actor", "Counter/page-1"]).await?;
    ensure!(described.contains("page-1"), "{described}");
    let top = scope.greenroom(&["top", "--once"]).await?;
    ensure!(top.contains("counters-0"), "{top}");
    Ok(())
}

/// `kubectl delete` is no way to lose state.
pub(super) async fn deleted_and_applied_again(scope: Scope) -> Result<()> {
    let yaml = crate::cluster::counters("kept", 3);
    let cluster = Cluster::apply(&scope, "kept", &yaml).await?;
    for page in 0..20 {
        let reply = cluster.call(&format!("Counter/{page}"), "add", &format!(r#"{{"by":{page}}}"#)).await?;
        ensure!(reply == page.to_string(), "Counter/{page} answered {reply}");
    }
    scope.kubectl(&["delete", "actorcluster", "kept", "--timeout=60s"]).await?;
    eventually(Duration::from_secs(90), "the pods are gone", || async {
        let pods = scope.kubectl(&["get", "pods", "-o", "name"]).await?;
        ensure!(pods.is_empty(), "{pods}");
        Ok(())
    })
    .await?;
    let left = scope.kubectl(&["get", "persistentvolumeclaims,shardmaps", "-o", "name"]).await?;
    ensure!(left.matches("persistentvolumeclaim/").count() == 3, "{left}");
    ensure!(left.contains("shardmap.greenroom.dev/kept-0"), "{left}");

    let cluster = Cluster::apply(&scope, "kept", &yaml).await?;
    for page in 0..20 {
        let total = cluster.call(&format!("Counter/{page}"), "total", "{}").await?;
        ensure!(total == page.to_string(), "Counter/{page} stood at {page} and stands at {total}");
    }
    Ok(())
}

/// The YAML of an example.
pub(super) fn example(scope: &Scope, name: &str) -> Result<String> {
    let file = scope.settings.sources.join(format!("examples/{name}/cluster.yaml"));
    std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}
