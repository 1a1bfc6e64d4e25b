//! The chart, installed once for all scenarios, as a user does it.

use anyhow::Result;
use tokio::process::Command;

use crate::kubectl;
use crate::settings::Settings;

/// Where the operator and the placement API run.
pub(crate) const NAMESPACE: &str = "greenroom-system";
/// The release.
pub(crate) const RELEASE: &str = "greenroom";

/// `helm install`, or `helm upgrade` where it is installed, and waits until everything is ready.
pub(crate) async fn release(settings: &Settings) -> Result<()> {
    let mut helm = helm(&["upgrade", "--install", "--create-namespace", "--wait", "--timeout", "180s"]);
    helm.args(["--namespace", NAMESPACE, RELEASE]).arg(chart(settings));
    kubectl::run(helm.args(image_values(settings)), None).await.map(drop)
}

/// `helm` with these arguments.
pub(crate) fn helm(arguments: &[&str]) -> Command {
    let mut helm = Command::new("helm");
    helm.args(arguments);
    helm
}

/// The chart.
pub(crate) fn chart(settings: &Settings) -> std::path::PathBuf {
    settings.sources.join("charts/greenroom")
}

/// The values that name the image under test, which every host has and no registry does.
pub(crate) fn image_values(settings: &Settings) -> Vec<String> {
    let (name, tag) = settings.image.rsplit_once(':').unwrap_or((&settings.image, "latest"));
    let (registry, repository) = name.split_once('/').unwrap_or(("docker.io", name));
    [
        ("image.registry", registry),
        ("image.repository", repository),
        ("image.tag", tag),
        ("image.pullPolicy", "Never"),
    ]
    .map(|(value, setting)| format!("--set-string={value}={setting}"))
    .to_vec()
}
