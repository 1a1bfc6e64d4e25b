//! The chart: its switches, and its upgrade under a running cluster.

use anyhow::{Result, ensure};

use crate::cluster::{Cluster, counters};
use crate::install::{self, NAMESPACE, RELEASE, helm, image_values};
use crate::kubectl::{self, kubectl};
use crate::scope::Scope;

/// Switches that change what is installed. A second release beside the first must not claim the same APIService.
const SWITCHES: &[&[&str]] = &[
    &["--set=replicas=1"],
    &["--set=networkPolicy.enabled=false"],
    &["--set=podDisruptionBudget.enabled=false"],
    &["--set=logFormat=text", "--set=logLevel=debug"],
];

pub(super) async fn switches(scope: Scope) -> Result<()> {
    for switches in SWITCHES {
        let mut install = helm(&["install", "other", "--wait", "--timeout", "120s"]);
        install.args(["--namespace", &scope.namespace]).arg(install::chart(&scope.settings));
        install.args(image_values(&scope.settings)).args(*switches);
        install.args(["--set=placementApi.enabled=false", "--set=crds.enabled=false"]);
        // It watches its own namespace, so that the two do not fight over clusters.
        install.arg(format!("--set=watchNamespaces={{{}}}", scope.namespace));
        kubectl::run(&mut install, None).await?;
        let mut uninstall = helm(&["uninstall", "other", "--wait"]);
        kubectl::run(uninstall.args(["--namespace", &scope.namespace]), None).await?;
    }
    Ok(())
}

pub(super) async fn upgrade(scope: Scope) -> Result<()> {
    let cluster = Cluster::apply(&scope, "steady", &counters("steady", 2)).await?;
    cluster.call("Counter/x", "add", r#"{"by":1}"#).await?;
    let before = cluster.pod_uids(2).await?;
    let upgrade = async |settings: &[&str]| -> Result<()> {
        let mut helm = helm(&["upgrade", RELEASE, "--namespace", NAMESPACE, "--reuse-values", "--wait"]);
        kubectl::run(helm.arg(install::chart(&scope.settings)).args(settings), None).await.map(drop)
    };
    // Every pod of the operator and the placement API is a new one after this.
    upgrade(&["--set-string=commonAnnotations.upgraded=yes", "--set=logLevel=debug"]).await?;
    let rollback = helm(&["rollback", RELEASE, "--namespace", NAMESPACE, "--wait"]);
    kubectl::run(&mut { rollback }, None).await?;
    kubectl::run(
        &mut kubectl(&[
            "wait",
            "--for=condition=Available",
            "apiservice/v1alpha1.placement.greenroom.dev",
            "--timeout=60s",
        ]),
        None,
    )
    .await?;
    cluster.ready().await?;
    ensure!(cluster.pod_uids(2).await? == before, "the upgrade restarted an actor pod");
    ensure!(cluster.call("Counter/x", "total", "{}").await? == "1");
    Ok(())
}
