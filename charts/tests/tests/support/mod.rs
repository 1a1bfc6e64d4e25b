//! Helm, the charts, and one API server for all tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Result, bail, ensure};
use greenroom_e2e_cluster::ControlPlane;
use greenroom_e2e_cluster::supply::{Supply, Tool};
use serde_json::Value;
use tokio::sync::OnceCell;

/// Where the chart is installed.
pub(crate) const NAMESPACE: &str = "greenroom-system";
/// A namespace with clusters.
pub(crate) const WATCHED: &str = "watched";
/// Settings that the render of a test may have.
pub(crate) type Settings = &'static [&'static str];

static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();

/// The API server of all tests that only look.
pub(crate) async fn plane() -> &'static ControlPlane {
    PLANE.get_or_init(new_plane).await
}

/// An API server with the namespaces of the tests, where only restricted pods may run.
pub(crate) async fn new_plane() -> ControlPlane {
    let plane = ControlPlane::start().await.unwrap();
    for namespace in [NAMESPACE, WATCHED] {
        output(plane.kubectl().args(["create", "namespace", namespace])).unwrap();
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        output(plane.kubectl().args(["label", "namespace", namespace, restricted])).unwrap();
    }
    plane
}

/// Installs the definitions, and waits until there are such objects.
pub(crate) fn install_definitions(plane: &ControlPlane) {
    let definitions: Vec<String> = greenroom_crds::crd_yaml().into_iter().map(|(_, yaml)| yaml).collect();
    let definitions = definitions.join("---\n");
    apply(plane.kubectl(), &["apply", "--server-side", "-f", "-"], &definitions).unwrap();
    plane.await_definitions().unwrap();
}

/// The folder of a chart.
pub(crate) fn chart(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name)
}

/// Helm, built if it is missing; it knows no cluster, and nothing of the user's settings.
pub(crate) async fn helm() -> Command {
    let supply = Supply::ensure(&[Tool::Helm]).await.unwrap();
    let mut helm = Command::new(supply.path(Tool::Helm));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HELM_") {
            helm.env_remove(name);
        }
    }
    helm.env("KUBECONFIG", "/dev/null");
    helm
}

/// What `helm template` makes of the chart greenroom.
pub(crate) async fn render(settings: &[&str]) -> Result<String> {
    let mut helm = helm().await;
    helm.args(["template", "greenroom", "--namespace", NAMESPACE]).arg(chart("greenroom")).args(settings);
    output(&mut helm)
}

/// The objects of a render.
pub(crate) fn objects(rendered: &str) -> Vec<Value> {
    let objects: Vec<Option<Value>> = serde_saphyr::from_multiple(rendered).unwrap();
    objects.into_iter().flatten().filter(|object| !object.is_null()).collect()
}

/// Runs a command; its standard output, or an error with all that it said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output()?;
    let (stdout, stderr) = (String::from_utf8(stdout)?, String::from_utf8_lossy(&stderr).into_owned());
    if !status.success() {
        bail!("{command:?}: {status}\n{stdout}{stderr}");
    }
    Ok(stdout)
}

/// Runs kubectl with an input.
pub(crate) fn apply(mut kubectl: Command, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = kubectl
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().expect("it was asked for").write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {arguments:?}: {said}");
    Ok(said)
}
