//! Placements with kubectl alone.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cluster::{Cluster, counters};
use crate::kubectl::{self, kubectl};
use crate::scope::Scope;

pub(super) async fn with_kubectl(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "seen", &counters("seen", 3)).await?;
    for page in 0..7 {
        cluster.call(&format!("Counter/page-{page}"), "add", r#"{"by":1}"#).await?;
    }
    cluster.call("KeyValue/settings", "set", r#"{"name":"a","value":"b"}"#).await?;

    let get = async |more: &[&str]| scope.kubectl(&[&["get", "actorplacements"], more].concat()).await;
    let rows = |table: &str| table.lines().count();

    let table = get(&[]).await?;
    ensure!(rows(&table) == 9, "{table}");
    let wide = get(&["-o", "wide"]).await?;
    for column in ["TYPE", "KEY", "NODE", "SHARD", "EPOCH", "AGE"] {
        ensure!(
            wide.lines().next().is_some_and(|header| header.contains(column)),
            "{column} is missing: {wide}"
        );
    }
    let counters = get(&["--field-selector", "spec.type=Counter", "-o", "name"]).await?;
    ensure!(rows(&counters) == 7, "{counters}");
    let one = get(&["--field-selector", "spec.type=Counter,spec.key=page-3", "--no-headers"]).await?;
    ensure!(rows(&one) == 1 && one.contains("page-3"), "{one}");
    let pages = get(&["--chunk-size=2", "-o", "name"]).await?;
    ensure!(rows(&pages) == 8, "{pages}");
    let sorted = get(&["--sort-by=.spec.key", "-o", "jsonpath={.items[*].spec.key}"]).await?;
    let keys: Vec<_> = sorted.split_whitespace().collect();
    ensure!(keys.is_sorted() && keys.len() == 8, "{sorted}");

    let name = one.split_whitespace().next().unwrap_or_default();
    let described = scope.kubectl(&["describe", "actorplacement", name]).await?;
    ensure!(described.contains("page-3") && described.contains("seen-"), "{described}");
    let explained = scope.kubectl(&["explain", "actorplacements.spec.key"]).await?;
    ensure!(explained.contains("FIELD: key") && explained.contains("DESCRIPTION"), "{explained}");
    let unknown =
        scope.try_kubectl(&["get", "actorplacements", "--field-selector", "spec.color=red"]).await?;
    ensure!(!unknown.success && unknown.stderr.contains("spec.type"), "{}", unknown.stderr);
    watch(&scope, &cluster).await
}

/// `-w` shows an activation when it comes.
async fn watch(scope: &Scope, cluster: &Cluster) -> Result<()> {
    let mut command = scope.command(&["get", "actorplacements", "--watch-only", "--request-timeout=20s"]);
    let watching = async {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let mut child = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        while let Some(line) = lines.next_line().await? {
            if line.contains("latecomer-") {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended without it")
    };
    // The watch may begin at any time, so actors are activated until one of them was seen.
    let calling = async {
        for number in 0..40 {
            cluster.call(&format!("Counter/latecomer-{number}"), "add", r#"{"by":1}"#).await?;
        }
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        seen = tokio::time::timeout(Duration::from_secs(30), watching) => seen?,
        failed = calling => failed,
    }
}

pub(super) async fn forbidden(scope: Scope) -> Result<()> {
    let nobody = scope.try_kubectl(&["get", "actorplacements", "--as=nobody"]).await?;
    ensure!(!nobody.success && nobody.stderr.contains("Forbidden"), "{}", nobody.stderr);
    // The rights of the chart are aggregated to `view`.
    scope.kubectl(&["create", "rolebinding", "reader", "--clusterrole=view", "--user=reader"]).await?;
    let allowed = ["auth", "can-i", "list", "actorplacements.placement.greenroom.dev", "--as=reader"];
    crate::kubectl::eventually(Duration::from_secs(30), "the role is aggregated", || async {
        let said = scope.try_kubectl(&allowed).await?;
        ensure!(said.success, "{}{}", said.stdout, said.stderr);
        Ok(())
    })
    .await?;
    scope.kubectl(&["get", "actorplacements", "--as=reader"]).await?;
    let elsewhere = kubectl(&["get", "actorplacements", "-A", "--as=reader"]);
    let elsewhere = kubectl::output(&mut { elsewhere }, None).await?;
    ensure!(!elsewhere.success && elsewhere.stderr.contains("Forbidden"), "{}", elsewhere.stderr);
    Ok(())
}
