//! NetworkPolicies: each refusal has an allowed twin, so that neither passes for a wrong reason.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, counters};
use crate::kubectl::eventually;
use crate::scope::Scope;

pub(super) async fn policies(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "walled", &counters("walled", 2)).await?;
    let pod = cluster.pod(0).await?;
    let address = pod["status"]["podIP"].as_str().context("a pod without address")?.to_owned();
    stranger(&scope).await?;

    // The gateway is for everybody, and health is for whoever collects metrics.
    reaches(&scope, &address, 7400, true).await?;
    reaches(&scope, &address, 7403, true).await?;
    // The mesh is for the cluster's nodes, the admin service for the operator and the placement API.
    reaches(&scope, &address, 7401, false).await?;
    reaches(&scope, &address, 7402, false).await?;

    // And those who may, can: the nodes form a mesh, and the operator knows the counts.
    for page in 0..20 {
        cluster.call(&format!("Counter/{page}"), "add", r#"{"by":1}"#).await?;
    }
    let nodes = scope.greenroom(&["get", "nodes", "--cluster", "walled"]).await?;
    ensure!(nodes.contains("walled-0") && nodes.contains("walled-1"), "{nodes}");
    let placements = scope.kubectl(&["get", "actorplacements", "-o", "name"]).await?;
    ensure!(placements.lines().count() == 20, "{placements}");
    Ok(())
}

/// A pod that belongs to nobody, with a shell.
async fn stranger(scope: &Scope) -> Result<()> {
    let image = &scope.settings.tools_image;
    scope
        .apply(&format!(
            r#"
apiVersion: v1
kind: Pod
metadata: {{name: stranger}}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: stranger
    image: "{image}"
    command: [/bin/sh, -c, "while :; do sleep 60; done"]
    securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
"#
        ))
        .await?;
    scope.wait("pod/stranger", "condition=Ready", Duration::from_secs(60)).await
}

/// Whether the stranger can open a connection. (There are `nc` that cannot just look whether a port is open.)
async fn reaches(scope: &Scope, address: &str, port: u16, wanted: bool) -> Result<()> {
    let connect = format!("echo | nc -w 2 {address} {port}");
    eventually(Duration::from_secs(20), "the policies are in force", || async {
        let said = scope.try_kubectl(&["exec", "stranger", "--", "/bin/sh", "-c", &connect]).await?;
        ensure!(
            said.success == wanted,
            "port {port}, to be reached: {wanted}: {}{}",
            said.stdout,
            said.stderr
        );
        Ok(())
    })
    .await
}
