//! The command line against a real API server. There are no hosts, so no pod is ever reached: what is shown here is how
//! a cluster is found, and what is said when something is missing on the way to a pod.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use greenroom_crds::names;
use greenroom_e2e_cluster::ControlPlane;
use greenroom_e2e_cluster::supply::{Supply, Tool};
use serde_json::{Value, json};

const CRDS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/greenroom-crds/templates/actorcluster.yaml");

/// A directory with the program under the names that kubectl looks for.
struct Links(tempfile::TempDir);

impl Links {
    fn new() -> Self {
        let links = tempfile::tempdir().unwrap();
        for name in ["kubectl-greenroom", "kubectl_complete-greenroom"] {
            symlink(env!("CARGO_BIN_EXE_greenroom"), links.path().join(name)).unwrap();
        }
        Self(links)
    }

    /// kubectl as a user has it: it finds the plugin in the PATH.
    fn kubectl(&self, program: &Path, line: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap();
        command.args(line.split(' ')).env("PATH", format!("{}:{path}", self.0.path().display()));
        command.env_remove("KUBECONFIG").env_remove("GREENROOM_DATA");
        command
    }
}

/// A control plane, and kubectl with the plugin.
struct Rig {
    plane: ControlPlane,
    links: Links,
}

impl Rig {
    async fn start() -> Self {
        Self { plane: ControlPlane::start().await.unwrap(), links: Links::new() }
    }

    fn kubectl(&self, line: &str) -> String {
        let output = self.plane.kubectl().args(line.split(' ')).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn create(&self, object: &Value) {
        let mut child = self
            .plane
            .kubectl()
            .args(["create", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{object:#}");
    }

    fn plugin(&self, kubeconfig: &Path, line: &str) -> Command {
        let kubectl = self.plane.kubectl();
        let mut command = self.links.kubectl(Path::new(kubectl.get_program()), line);
        command.env("KUBECONFIG", kubeconfig);
        command
    }

    fn stdout(&self, line: &str) -> String {
        let output = self.plugin(&self.plane.kubeconfig(), line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command complains about.
    fn stderr_of(&self, kubeconfig: &Path, line: &str) -> String {
        let output = self.plugin(kubeconfig, line).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn stderr(&self, line: &str) -> String {
        self.stderr_of(&self.plane.kubeconfig(), line)
    }

    fn install_crds(&self) {
        self.kubectl(&format!("create -f {CRDS}"));
        self.plane.await_definitions().unwrap();
    }

    fn cluster(&self, namespace: &str, name: &str) {
        self.create(&json!({
            "apiVersion": "greenroom.dev/v1alpha1",
            "kind": "ActorCluster",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "replicas": 2 },
        }));
    }

    /// A pod that says of itself that it runs and is ready; no host has it.
    fn pod(&self, namespace: &str, cluster: &str) {
        let labels: serde_json::Map<_, _> = names::pod_selector(cluster)
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        self.create(&json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": format!("{cluster}-0"), "namespace": namespace, "labels": labels },
            "spec": {
                "automountServiceAccountToken": false,
                "containers": [{ "name": names::NODE_CONTAINER, "image": "none" }],
            },
        }));
        let status = json!({ "status": {
            "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
        }});
        self.kubectl(&format!(
            "patch pod {cluster}-0 -n {namespace} --subresource=status --type=merge -p {status}"
        ));
    }

    /// The certificate for people, as the operator makes it.
    fn admin_secret(&self, namespace: &str, cluster: &str) {
        let pem =
            greenroom_tls::testing::Authority::new().pem(&[&names::identity::admin(cluster, namespace)]);
        let files = [pem.certificate, pem.key, pem.authorities].map(|file| String::from_utf8(file).unwrap());
        let data: serde_json::Map<_, _> =
            names::TLS_FILES.into_iter().map(str::to_owned).zip(files.map(Value::from)).collect();
        self.create(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": names::admin_secret(cluster), "namespace": namespace },
            "stringData": data,
        }));
    }

    /// The kubeconfig of a user who has these rights in the namespace, once the API server knows it.
    fn user(&self, name: &str, namespace: &str, rights: &[(&str, &str)]) -> PathBuf {
        let rules: Vec<_> = rights
            .iter()
            .map(|(group, resource)| {
                json!({ "apiGroups": [group], "resources": [resource], "verbs": ["get", "list"] })
            })
            .collect();
        let metadata = json!({ "name": name, "namespace": namespace });
        let rbac = "rbac.authorization.k8s.io";
        self.create(&json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata, "rules": rules,
        }));
        self.create(&json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": { "apiGroup": rbac, "kind": "Role", "name": name },
            "subjects": [{ "apiGroup": rbac, "kind": "User", "name": name }],
        }));
        let kubeconfig = self.plane.kubeconfig_for(name, &[]).unwrap();
        let (group, resource) = rights[0];
        let asked = format!("auth can-i list {resource}.{group} -n {namespace} -q");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.plugin(&kubeconfig, &asked).output().unwrap().status.success() {
            assert!(Instant::now() < deadline, "{asked}");
        }
        kubeconfig
    }
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in\n{said}");
    }
}

#[tokio::test]
async fn the_cluster_is_found_by_context_namespace_and_name_and_what_is_wrong_is_said() {
    let rig = Rig::start().await;
    assert_says(
        &rig.stderr("greenroom get nodes"),
        &["it has no such resource", "hint: is Greenroom installed there?"],
    );
    rig.install_crds();
    assert_says(
        &rig.stderr("greenroom get nodes"),
        &["there is no ActorCluster in namespace default", "`kubectl greenroom get clusters -A`"],
    );
    rig.kubectl("create namespace games");
    rig.cluster("games", "one");
    assert_says(&rig.stderr("greenroom get nodes -n games"), &["there is no Secret one-admin-tls"]);
    rig.cluster("games", "two");
    assert_says(
        &rig.stderr("greenroom call -n games Counter/a total"),
        &["several ActorClusters in namespace games", "one, two", "-c NAME"],
    );
    assert_says(
        &rig.stderr("greenroom describe node one-0 -n games -c three"),
        &["there is no ActorCluster three in namespace games", "`kubectl greenroom get clusters -n games`"],
    );
    let clusters: Value = serde_json::from_str(&rig.stdout("greenroom get clusters -A -o json")).unwrap();
    let names: Vec<_> = clusters["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["one", "two"]);
    assert_says(&rig.stdout("greenroom get clusters -n games"), &["one    games   NotReady     0/2"]);

    let nobody = rig.plane.kubeconfig_for("nobody", &[]).unwrap();
    assert_says(
        &rig.stderr_of(&nobody, "greenroom get nodes -n games"),
        &[
            "you may not list the ActorClusters in namespace games",
            r#"User "nobody" cannot list resource "actorclusters""#,
            "ask for the right to list actorclusters.greenroom.dev in namespace games",
        ],
    );
    rig.plane.kill_api_server().unwrap();
    assert_says(&rig.stderr("greenroom get nodes"), &["cannot list the ActorClusters", "onnection refused"]);
}

#[tokio::test]
async fn a_missing_right_is_named_at_once_and_what_works_without_it_is_said() {
    let rig = Rig::start().await;
    rig.install_crds();
    rig.kubectl("create serviceaccount default");
    rig.cluster("default", "demo");
    rig.admin_secret("default", "demo");
    rig.pod("default", "demo");
    let reader = rig.user("reader", "default", &[("greenroom.dev", "actorclusters")]);
    assert_says(
        &rig.stderr_of(&reader, "greenroom get placements"),
        &[
            "you may not read Secret demo-admin-tls in namespace default",
            "ask for the right to get Secret demo-admin-tls in namespace default",
            "`kubectl get actorplacements -n default` and `kubectl greenroom call` work without it",
        ],
    );
    let asked = Instant::now();
    let call = "greenroom call Counter/a total --deadline 1m";
    assert_says(&rig.stderr_of(&reader, call), &["you may not list the pods in namespace default"]);
    let lister = rig.user("lister", "default", &[("greenroom.dev", "actorclusters"), ("", "pods")]);
    assert_says(
        &rig.stderr_of(&lister, call),
        &["you may not forward ports of pods", "get and create pods/portforward in namespace default"],
    );
    assert!(asked.elapsed() < Duration::from_secs(30), "a call that can never arrive was repeated");

    // With every right the API server is asked for the connection itself, and it has no host to ask.
    let unreachable = "pod demo-0 does not have a host assigned";
    assert_says(
        &rig.stderr("greenroom get nodes"),
        &["no node answers", "demo-0 does not answer", unreachable],
    );
    assert_says(
        &rig.stderr("greenroom call Counter/a total --deadline 1s"),
        &["[unavailable]", "the gateway of demo does not answer", unreachable],
    );
}

#[tokio::test]
async fn kubectl_shows_the_plugin_and_completes_its_commands() {
    let kubectl = Supply::ensure(&[Tool::Kubectl]).await.unwrap().path(Tool::Kubectl);
    let links = Links::new();
    for (line, parts) in [
        ("plugin list", &["kubectl-greenroom"][..]),
        ("greenroom --help", &["Usage: kubectl greenroom <COMMAND>"]),
        ("__complete greenroom get no", &["nodes\tList the nodes", ":4"]),
    ] {
        let output = links.kubectl(&kubectl, line).output().unwrap();
        assert_says(&String::from_utf8_lossy(&output.stdout), parts);
    }
}
