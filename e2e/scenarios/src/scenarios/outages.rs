//! Parts that are away for a while.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::calls::Load;
use crate::cluster::{Cluster, counters};
use crate::hooks::Host;
use crate::install::{self, NAMESPACE, RELEASE};
use crate::kubectl::{self, eventually, kubectl};
use crate::scope::Scope;

const OPERATOR: &str = "deployment/greenroom-operator";
const PLACEMENT_API: &str = "deployment/greenroom-placement-api";

pub(super) async fn host_partitioned(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "cut", &counters("cut", 3)).await?;
    for page in 0..30 {
        cluster.call(&format!("Counter/{page}"), "add", r#"{"by":2}"#).await?;
    }
    let mut host = Host::of_pod(&scope, &cluster.pod_name(2)).await?;
    host.partition().await?;
    cluster.incomplete().await?;
    host.restore().await?;
    cluster.ready().await?;
    for page in 0..30 {
        let total = cluster.call(&format!("Counter/{page}"), "total", "{}").await?;
        ensure!(total == "2", "Counter/{page} stood at 2 and stands at {total}");
    }
    Ok(())
}

pub(super) async fn operator_away(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "alone", &counters("alone", 3)).await?;
    let load = Load::start(&cluster, 4).await?;
    scale(OPERATOR, 0).await?;
    let outcome = async {
        load.goes_on(50, Duration::from_secs(30)).await?;
        let before = cluster.pod_uids(3).await?;
        scope.kubectl(&["delete", "pod", &cluster.pod_name(1), "--wait=false"]).await?;
        eventually(Duration::from_secs(90), "a new pod is ready", || async {
            ensure!(cluster.pod_uids(3).await?[1] != before[1], "it is the old pod");
            scope
                .wait(&format!("pod/{}", cluster.pod_name(1)), "condition=Ready", Duration::from_secs(60))
                .await
        })
        .await?;
        load.goes_on(50, Duration::from_secs(30)).await
    }
    .await;
    scale(OPERATOR, 2).await?;
    outcome?;
    load.finish().await?;
    cluster.ready().await
}

/// The leader is stopped for longer than its lease lasts. When it wakes, somebody else leads, and the API server must
/// see nothing of it but the request that it may have been sending.
pub(super) async fn operator_frozen(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "frozen", &counters("frozen", 1)).await?;
    let lease = holder().await?;
    let operator = Scope { settings: scope.settings.clone(), namespace: NAMESPACE.into() };
    let host = Host::of_pod(&operator, &lease).await?;
    host.signal(&operator, &lease, "SIGSTOP").await?;
    let took_over = eventually(Duration::from_secs(60), "somebody else leads", || async {
        let now = holder().await?;
        ensure!(now != lease && !now.is_empty(), "{now} leads");
        Ok(())
    })
    .await;
    // Something to write about, for whoever believes to lead.
    let annotate = ["annotate", "service/frozen-gateway", "greenroom.dev/hash=changed", "--overwrite"];
    let changed = scope.kubectl(&annotate).await;
    let woken = host.signal(&operator, &lease, "SIGCONT").await;
    took_over?;
    changed?;
    woken?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let log = scope.settings.audit_log.as_deref().context("no audit log")?;
    let stale = writes_of(&std::fs::read_to_string(log)?, &lease, &scope.namespace);
    ensure!(stale.len() <= 1, "{lease} wrote after it was replaced: {stale:?}");
    cluster.ready().await
}

/// The writes of a pod in a namespace after the newest lease transition, as `verb resource/name`.
fn writes_of(log: &str, pod: &str, namespace: &str) -> Vec<String> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut writes = Vec::new();
    for event in events {
        let by = &event["user"]["extra"]["authentication.kubernetes.io/pod-name"][0];
        let verb = event["verb"].as_str().unwrap_or_default();
        let is_write = ["create", "update", "patch", "delete"].contains(&verb);
        let object = &event["objectRef"];
        if object["resource"] == "leases" && is_write && by != pod && event["responseStatus"]["code"] == 200 {
            // Somebody else leads from here on: what came before was right.
            if writes.is_empty() || by.is_string() {
                writes.clear();
            }
        } else if by == pod && is_write && object["namespace"] == namespace {
            writes.push(format!("{verb} {}/{}", object["resource"], object["name"]));
        }
    }
    writes
}

/// The pod that leads.
async fn holder() -> Result<String> {
    let path = "jsonpath={.spec.holderIdentity}";
    kubectl::run(&mut kubectl(&["-n", NAMESPACE, "get", "lease", "greenroom-operator", "-o", path]), None)
        .await
}

/// With the placement API away, discovery of its group fails, and Kubernetes cannot finish the deletion of any
/// namespace: it does not know what may still be in it. That is why docs/placement-api.md says how to take it away:
/// with its APIService.
pub(super) async fn placement_api_away(scope: Scope) -> Result<()> {
    scale(PLACEMENT_API, 0).await?;
    let outcome = async {
        let gone = scope.try_kubectl(&["get", "actorplacements", "--request-timeout=10s"]).await?;
        ensure!(!gone.success, "who answered? {}", gone.stdout);
        // Clusters do not need it.
        let cluster = Cluster::apply(&scope, "blind", &counters("blind", 1)).await?;
        ensure!(cluster.call("Counter/x", "add", r#"{"by":1}"#).await? == "1");
        let chart = install::chart(&scope.settings, RELEASE);
        install::upgrade(&scope.settings, &chart, &["--set=placementApi.enabled=false"]).await?;
        let other = format!("{}-other", scope.namespace);
        kubectl::run(&mut kubectl(&["create", "namespace", &other]), None).await?;
        kubectl::run(&mut kubectl(&["delete", "namespace", &other, "--timeout=60s"]), None).await.map(drop)
    }
    .await;
    install::release(&scope.settings).await?;
    scale(PLACEMENT_API, 2).await?;
    outcome?;
    eventually(Duration::from_secs(60), "placements are shown again", || {
        scope.kubectl(&["get", "actorplacements"])
    })
    .await
    .map(drop)
}

async fn scale(deployment: &str, replicas: u16) -> Result<()> {
    let to = format!("--replicas={replicas}");
    kubectl::run(&mut kubectl(&["-n", NAMESPACE, "scale", deployment, &to]), None).await?;
    let path = "jsonpath={.status.readyReplicas}";
    eventually(Duration::from_secs(90), "the replicas are as many", || async {
        let ready =
            kubectl::run(&mut kubectl(&["-n", NAMESPACE, "get", deployment, "-o", path]), None).await?;
        if ready.parse().unwrap_or(0u16) == replicas { Ok(()) } else { bail!("{deployment} has {ready}") }
    })
    .await
}
