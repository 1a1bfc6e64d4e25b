//! The chart and its switches: each of them installs, under restricted pod security.

use anyhow::Result;

use crate::install::{self, RELEASE, helm, image_values};
use crate::kubectl;
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
        install.args(["--namespace", &scope.namespace]).arg(install::chart(&scope.settings, RELEASE));
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
