//! The namespace of a running cluster is deleted, with everything in it, in whatever order Kubernetes takes it.
//!
//! It shows that the deletion ends, though nobody can delete placements and the operator puts back what is missing; that
//! nothing of the cluster remains, volumes included; that the operator gets over it; and that another cluster does not
//! notice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

use crate::calls::Load;
use crate::cluster::{Cluster, counters};
use crate::install::NAMESPACE;
use crate::kubectl::{self, eventually, json, kubectl};
use crate::scope::Scope;

/// How long the deletion may take: the nodes are asked to stop, and Kubernetes looks again with growing pauses.
const GONE_WITHIN: &str = "--timeout=120s";
/// For how long nobody may complain of the namespace any more; the operator looks at a cluster at least every 15 s.
const QUIET: Duration = Duration::from_secs(20);

pub(super) async fn deleted(scope: Scope) -> Result<()> {
    let stays = Cluster::apply(&scope, "stays", &counters("stays", 2)).await?;
    let load = Load::start(&stays, 4).await?;
    scope.beside("namespace::doomed", async |doomed| delete(doomed, &load).await).await?;
    load.goes_on(50, Duration::from_secs(30)).await?;
    load.finish().await?;
    stays.ready().await
}

async fn delete(doomed: &Scope, load: &Load) -> Result<()> {
    let made = Instant::now();
    let cluster = Cluster::apply(doomed, "goes", &counters("goes", 3)).await?;
    for number in 0..20 {
        cluster.call(&format!("Counter/{number}"), "add", r#"{"by":1}"#).await?;
    }
    let namespace = doomed.namespace.as_str();
    ensure!(!volumes_of(namespace).await?.is_empty(), "the nodes have no volumes");

    let begun = Instant::now();
    run(&["delete", "namespace", namespace, GONE_WITHIN]).await?;
    let took = begun.elapsed();
    load.goes_on(50, Duration::from_secs(30)).await?;

    eventually(Duration::from_secs(60), "its volumes are gone", || async {
        let left = volumes_of(namespace).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    let placements = run(&["get", "actorplacements", "-A", "--no-headers"]).await?;
    ensure!(!placements.contains(namespace), "{placements}");

    let meanwhile = logged(namespace, made.elapsed()).await?;
    ensure!(!meanwhile.is_empty(), "the operator's log does not even say that it made the cluster");
    let meanwhile = complaints(meanwhile);
    ensure!(meanwhile.len() <= 5, "while it took {took:?}, the operator complained: {meanwhile:#?}");
    tokio::time::sleep(QUIET).await;
    let afterwards = complaints(logged(namespace, QUIET).await?);
    ensure!(afterwards.is_empty(), "the operator does not get over it: {afterwards:#?}");
    Ok(())
}

/// The volumes, which belong to no namespace, that are claimed from this one.
async fn volumes_of(namespace: &str) -> Result<Vec<String>> {
    let volumes = json(&["get", "persistentvolumes"]).await?;
    let volumes = volumes["items"].as_array().context("no list")?;
    let claimed = volumes.iter().filter(|volume| volume["spec"]["claimRef"]["namespace"] == namespace);
    Ok(claimed.map(|volume| volume["metadata"]["name"].to_string()).collect())
}

/// What operator and placement API have logged about a namespace lately.
async fn logged(namespace: &str, lately: Duration) -> Result<Vec<Value>> {
    let since = format!("--since={}s", lately.as_secs());
    let mut all = vec!["-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/part-of=greenroom"];
    all.extend(["--tail=-1", "--max-log-requests=20", &since]);
    let lines = run(&all).await?;
    let about_it = lines.lines().filter(|line| line.contains(namespace));
    about_it.map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))).collect()
}

/// The warnings and errors.
fn complaints(lines: Vec<Value>) -> Vec<Value> {
    lines.into_iter().filter(|line| line["level"] == "WARN" || line["level"] == "ERROR").collect()
}

async fn run(arguments: &[&str]) -> Result<String> {
    kubectl::run(&mut kubectl(arguments), None).await
}
