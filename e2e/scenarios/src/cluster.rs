//! An ActorCluster of a scenario.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::kubectl::eventually;
use crate::scope::Scope;

/// How long a cluster may take to become Ready: volumes, images and three nodes on a busy machine.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(120);

/// How long three pods may take to be replaced, one after the other.
pub(crate) const ROLLED_WITHIN: Duration = Duration::from_secs(180);

/// A cluster of the stock node, of so many nodes.
pub(crate) fn counters(name: &str, replicas: u16) -> String {
    counters_where(name, replicas, "{}")
}

/// The same, with `spec.pod` in YAML's flow style.
pub(crate) fn counters_where(name: &str, replicas: u16, pod: &str) -> String {
    format!(
        "apiVersion: greenroom.dev/v1alpha1\nkind: ActorCluster\nmetadata: {{name: {name}}}\nspec: {{replicas: {replicas}, shards: 256, storage: {{size: 64Mi}}, pod: {pod}}}\n"
    )
}

/// An ActorCluster in a scope.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) scope: Scope,
    pub(crate) name: String,
}

impl Cluster {
    /// Applies the YAML of a cluster with this name and waits until it is Ready.
    pub(crate) async fn apply(scope: &Scope, name: &str, yaml: &str) -> Result<Self> {
        scope.apply(yaml).await?;
        let cluster = Self { scope: scope.clone(), name: name.into() };
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Waits until the cluster is Ready as it is declared now.
    pub(crate) async fn ready(&self) -> Result<()> {
        eventually(READY_WITHIN, "the cluster is Ready for its present generation", || async {
            let cluster = self.get().await?;
            let generation = &cluster["metadata"]["generation"];
            ensure!(cluster["status"]["observedGeneration"] == *generation, "status {}", cluster["status"]);
            ensure!(condition(&cluster, "Ready")["status"] == "True", "status {}", cluster["status"]);
            Ok(())
        })
        .await
    }

    /// Waits until it is seen that a node does not serve.
    pub(crate) async fn incomplete(&self) -> Result<()> {
        eventually(Duration::from_secs(90), "the cluster is seen not to be complete", || async {
            let found = self.get().await?;
            ensure!(found["status"]["readyReplicas"] != found["spec"]["replicas"], "{}", found["status"]);
            Ok(())
        })
        .await
    }

    /// Waits until no pod is the one it was and the cluster is Ready; how many pods were away at once at most.
    ///
    /// A pod is away from its deletion until its successor is Ready for the first time. One that is not Ready at another
    /// time was not taken by the roll: a busy machine answers a probe too late.
    pub(crate) async fn rolled(&self, before: &[String]) -> Result<usize> {
        let most = Cell::new(0);
        let came: RefCell<HashSet<String>> = RefCell::new(before.iter().cloned().collect());
        eventually(ROLLED_WITHIN, "all pods are new", || async {
            let pods = self.scope.json(&["get", "pods"]).await?;
            let pods = pods["items"].as_array().cloned().unwrap_or_default();
            let here = pods.iter().filter(|pod| is_here(pod, &mut came.borrow_mut())).count();
            most.set(most.get().max(before.len().saturating_sub(here)));
            let old = pods.iter().filter(|pod| before.iter().any(|old| old == uid(pod))).count();
            ensure!(old == 0, "{old} pods are still the old ones");
            Ok(())
        })
        .await?;
        self.ready().await?;
        Ok(most.get())
    }

    /// The cluster, as the API server has it.
    pub(crate) async fn get(&self) -> Result<Value> {
        self.scope.json(&["get", "actorcluster", &self.name]).await
    }

    /// `metadata` of a pod.
    pub(crate) async fn pod(&self, ordinal: u16) -> Result<Value> {
        self.scope.json(&["get", "pod", &self.pod_name(ordinal)]).await
    }

    pub(crate) fn pod_name(&self, ordinal: u16) -> String {
        format!("{}-{ordinal}", self.name)
    }

    /// The uids of the pods, by ordinal.
    pub(crate) async fn pod_uids(&self, replicas: u16) -> Result<Vec<String>> {
        let mut uids = Vec::new();
        for ordinal in 0..replicas {
            let pod = self.pod(ordinal).await?;
            uids.push(pod["metadata"]["uid"].as_str().context("a pod without uid")?.to_owned());
        }
        Ok(uids)
    }

    /// How often a pod's container was started again.
    pub(crate) async fn restarts(&self, ordinal: u16) -> Result<i64> {
        let pod = self.pod(ordinal).await?;
        pod["status"]["containerStatuses"][0]["restartCount"].as_i64().context("a pod without a container")
    }

    /// `kubectl greenroom call`; the reply.
    pub(crate) async fn call(&self, actor: &str, method: &str, arguments: &str) -> Result<String> {
        let call = ["call", "--cluster", &self.name, actor, method, arguments];
        Ok(self.scope.greenroom(&call).await?.trim().to_owned())
    }
}

/// Whether a pod is there to serve, as far as a roll goes; `came` has the uids of those that have been Ready.
fn is_here(pod: &Value, came: &mut HashSet<String>) -> bool {
    if condition(pod, "Ready")["status"] == "True" {
        came.insert(uid(pod).to_owned());
    }
    let is_leaving = !pod["metadata"]["deletionTimestamp"].is_null();
    !is_leaving && came.contains(uid(pod))
}

fn uid(of: &Value) -> &str {
    of["metadata"]["uid"].as_str().unwrap_or_default()
}

/// A condition of an object; null if it has none of this type.
pub(crate) fn condition<'a>(object: &'a Value, of_type: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .and_then(|all| all.iter().find(|condition| condition["type"] == of_type))
        .unwrap_or(&Value::Null)
}
