//! Placements while a host is silent: it stands still, so that connections stay open and nobody answers, or it has lost
//! its power.
//!
//! Each shows that `kubectl get actorplacements`
//!
//! - answers in time, with all actors but those on that host, and a warning that names the node;
//! - does so at once, and also after Kubernetes has noticed;
//! - waits for nobody where another namespace is asked for;
//! - is complete again when the host is back.
//!
//! The placement API itself runs on the other hosts: what Kubernetes does about a replica that stands still is not ours.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use greenroom_client::CallOptions;
use serde_json::Value;

use crate::calls::Proxy;
use crate::cluster::{Cluster, counters_where};
use crate::hooks::Host;
use crate::install::NAMESPACE;
use crate::kubectl::{eventually, json};
use crate::scope::Scope;

/// What the server waits for a node, 2 s, and what kubectl itself may take on a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(6);
const ACTORS: usize = 40;

/// A node on each host.
const SPREAD: &str = "{topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule}]}";

pub(super) async fn paused(scope: Scope) -> Result<()> {
    while_silent(scope, async |host| host.pause().await).await
}

pub(super) async fn killed(scope: Scope) -> Result<()> {
    while_silent(scope, async |host| host.kill().await).await
}

async fn while_silent(scope: Scope, silence: impl AsyncFnOnce(&mut Host<'_>) -> Result<()>) -> Result<()> {
    let cluster = Cluster::apply(&scope, "shop", &counters_where("shop", 3, SPREAD)).await?;
    each_is_one(&cluster, ACTORS, "add", r#"{"by":1}"#).await?;
    let servers = hosts_of_the_placement_api().await?;
    let victim = victim(&cluster, &servers).await?;
    let mut host = Host::of_pod(&scope, &victim).await?;
    let on_it = rows(&scope, &["--field-selector", &format!("status.node={victim}")]).await?.shown;
    ensure!((1..ACTORS).contains(&on_it), "{on_it} of {ACTORS} actors are on {victim}");

    scope
        .beside("silent_hosts::other", async |other| {
            let elsewhere = format!("{{nodeSelector: {{kubernetes.io/hostname: {}}}}}", servers[0]);
            let neighbour = Cluster::apply(other, "other", &counters_where("other", 1, &elsewhere)).await?;
            each_is_one(&neighbour, 1, "add", r#"{"by":1}"#).await?;

            silence(&mut host).await?;
            let (here, there) = tokio::try_join!(rows(&scope, &[]), rows(other, &[]))?;
            here.lacks(&victim, ACTORS - on_it)?;
            ensure!(there.shown == 1 && there.warnings.is_empty(), "of another namespace: {there:?}");
            ensure!(there.took < here.took, "who asks for another namespace waits, too: {there:?}, {here:?}");
            cluster.incomplete().await?;
            rows(&scope, &[]).await?.lacks(&victim, ACTORS - on_it)
        })
        .await
        .with_context(|| format!("{victim} is on the silent {}", host.name()))?;

    host.restore().await?;
    cluster.ready().await?;
    eventually(Duration::from_secs(60), "placements are complete again", || async {
        // Kubernetes may still replace the pod that it has given up, and then its actors leave memory once more.
        each_is_one(&cluster, ACTORS, "total", "{}").await?;
        let now = rows(&scope, &[]).await?;
        ensure!(now.shown == ACTORS && now.warnings.is_empty(), "{now:?}");
        Ok(())
    })
    .await
}

/// Calls each of so many counters, which must answer that it stands at one.
async fn each_is_one(cluster: &Cluster, actors: usize, method: &str, arguments: &str) -> Result<()> {
    let proxy = Proxy::open(cluster).await?;
    let client = proxy.client()?;
    for number in 0..actors {
        let actor = format!("Counter/{number}").parse().expect("it is a type and a key");
        let answer = client.call_json(&actor, method, arguments, CallOptions::default()).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("{method} of {actor}: {error}"))?;
        ensure!(answer.trim() == "1", "{actor} stands at {answer}");
    }
    Ok(())
}

/// A pod of the cluster on a host that serves no placements.
async fn victim(cluster: &Cluster, servers: &[String]) -> Result<String> {
    for ordinal in 0..3 {
        let pod = cluster.pod(ordinal).await?;
        if !servers.iter().any(|server| pod["spec"]["nodeName"] == server.as_str()) {
            return Ok(cluster.pod_name(ordinal));
        }
    }
    bail!("every node shares its host with the placement API, on {servers:?}; three hosts are needed")
}

async fn hosts_of_the_placement_api() -> Result<Vec<String>> {
    let pods = ["-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/component=placement-api"];
    let pods = json(&pods).await?;
    let host = |pod: &Value| pod["spec"]["nodeName"].as_str().map(str::to_owned);
    let hosts: Vec<_> = pods["items"].as_array().context("no list")?.iter().filter_map(host).collect();
    ensure!(!hosts.is_empty(), "nobody serves placements");
    Ok(hosts)
}

/// What `kubectl get actorplacements` said.
#[derive(Debug)]
struct Rows {
    shown: usize,
    warnings: String,
    took: Duration,
}

impl Rows {
    /// The actors of one node are missing, and nothing else.
    fn lacks(&self, node: &str, shown: usize) -> Result<()> {
        let named = format!("node {node} of the cluster shop did not answer");
        ensure!(self.shown == shown, "{shown} actors are to be seen: {self:?}");
        ensure!(self.warnings.contains(&named), "{node} is not named: {self:?}");
        ensure!(self.took < ANSWERED_WITHIN, "it took too long: {self:?}");
        Ok(())
    }
}

async fn rows(scope: &Scope, more: &[&str]) -> Result<Rows> {
    let begun = Instant::now();
    let get = ["get", "actorplacements", "-o", "name", "--ignore-not-found", "--request-timeout=30s"];
    let said = scope.try_kubectl(&[&get[..], more].concat()).await?;
    ensure!(said.success, "{}", said.stderr);
    Ok(Rows { shown: said.stdout.lines().count(), warnings: said.stderr, took: begun.elapsed() })
}
