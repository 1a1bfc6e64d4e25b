//! The charts, installed once for all scenarios, as a user does it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::process::Command;

use crate::kubectl;
use crate::settings::Settings;

/// Where the operator and the placement API run.
pub(crate) const NAMESPACE: &str = "greenroom-system";
/// The release.
pub(crate) const RELEASE: &str = "greenroom";
/// The release of the definitions, for those who install them apart.
pub(crate) const CRDS: &str = "greenroom-crds";

/// Installs the chart under test, or upgrades to it.
pub(crate) async fn release(settings: &Settings) -> Result<()> {
    upgrade(settings, &chart(settings, RELEASE), &[]).await
}

/// `helm upgrade --install` to this chart with these settings and no others, until everything is ready.
pub(crate) async fn upgrade(settings: &Settings, chart: &Path, more: &[&str]) -> Result<()> {
    let mut helm = helm(&["upgrade", "--install", "--create-namespace", "--wait", "--timeout", "180s"]);
    helm.args(["--namespace", NAMESPACE, RELEASE]).arg(chart).args(image_values(settings)).args(more);
    kubectl::run(&mut helm, None).await.map(drop)
}

/// `helm` with these arguments.
pub(crate) fn helm(arguments: &[&str]) -> Command {
    let mut helm = Command::new("helm");
    helm.args(arguments);
    helm
}

/// A chart of the sources.
pub(crate) fn chart(settings: &Settings, name: &str) -> PathBuf {
    settings.sources.join("charts").join(name)
}

/// The values that name the image under test, which every host has and no registry does. Its tag is the chart's.
pub(crate) fn image_values(settings: &Settings) -> Vec<String> {
    let (registry, repository) = settings.image.split_once('/').unwrap_or(("docker.io", &settings.image));
    [("image.registry", registry), ("image.repository", repository), ("image.pullPolicy", "Never")]
        .map(|(value, setting)| format!("--set-string={value}={setting}"))
        .to_vec()
}
