//! A real API server, real operators, and what the audit log says they did.

#![allow(clippy::unwrap_used, dead_code, reason = "tests fail by panicking, and not each uses all of it")]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use greenroom_crds::ActorCluster;
use greenroom_e2e_cluster::ControlPlane;
use greenroom_operator::{Args, Operator};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::{Api, Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where the operator runs, and where the clusters are.
pub(crate) const SYSTEM: &str = "greenroom-system";
pub(crate) const USER: &str = "default";
/// Kinds by group, version and plural; the children of a cluster with four pages.
pub(crate) const KINDS: [(&str, &str, &str, usize); 10] = [
    ("", "v1", "ServiceAccount", 1),
    ("rbac.authorization.k8s.io", "v1", "Role", 1),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", 1),
    ("", "v1", "ConfigMap", 1),
    ("", "v1", "Service", 2),
    ("", "v1", "Secret", 2),
    ("networking.k8s.io", "v1", "NetworkPolicy", 1),
    ("policy", "v1", "PodDisruptionBudget", 1),
    ("apps", "v1", "StatefulSet", 1),
    ("greenroom.dev", "v1alpha1", "ShardMap", 4),
];

/// An API server with the custom resources and the operator's namespace.
pub(crate) struct Plane {
    pub(crate) control: ControlPlane,
    pub(crate) client: Client,
}

impl Plane {
    pub(crate) async fn start() -> Self {
        let plane = Self::without_definitions().await;
        plane.define().await;
        plane
    }

    pub(crate) async fn without_definitions() -> Self {
        let control = ControlPlane::start().await.unwrap();
        let client = control.client();
        let plane = Self { control, client };
        plane.kubectl(&["create", "namespace", SYSTEM], None);
        plane
    }

    pub(crate) async fn define(&self) {
        let definitions: Vec<_> = greenroom_crds::crd_yaml().into_iter().map(|(_, yaml)| yaml).collect();
        self.kubectl(&["apply", "--server-side", "-f", "-"], Some(&definitions.join("\n---\n")));
        self.control.await_definitions().unwrap();
    }

    pub(crate) fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> String {
        use std::io::Write;
        let mut kubectl = self.control.kubectl();
        let piped =
            kubectl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {arguments:?}: {out}{err}");
        out.into_owned()
    }

    pub(crate) async fn config(&self) -> Config {
        let kubeconfig = Kubeconfig::read_from(self.control.kubeconfig()).unwrap();
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
    }

    /// The smallest cluster there is.
    pub(crate) async fn cluster(&self, name: &str) -> ActorCluster {
        self.apply_cluster(name, json!({"replicas": 3})).await
    }

    pub(crate) async fn apply_cluster(&self, name: &str, spec: Value) -> ActorCluster {
        let object = json!({
            "apiVersion": "greenroom.dev/v1alpha1", "kind": "ActorCluster", "metadata": {"name": name}, "spec": spec,
        });
        let how = PatchParams::apply("user").force();
        self.clusters().patch(name, &how, &Patch::Apply(object)).await.unwrap()
    }

    pub(crate) fn clusters(&self) -> Api<ActorCluster> {
        Api::namespaced(self.client.clone(), USER)
    }

    pub(crate) fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let (group, version, kind, _) = KINDS.into_iter().find(|(_, _, name, _)| *name == kind).unwrap();
        let plural = match kind {
            "NetworkPolicy" => "networkpolicies".to_owned(),
            _ => format!("{}s", kind.to_lowercase()),
        };
        let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
        Api::namespaced_with(self.client.clone(), USER, &ApiResource::from_gvk_with_plural(&gvk, &plural))
    }

    /// Every object of a cluster, by kind and name.
    pub(crate) async fn children(&self, cluster: &str) -> BTreeMap<String, DynamicObject> {
        let mut all = BTreeMap::new();
        for (_, _, kind, _) in KINDS {
            let labels = ListParams::default().labels(&format!("greenroom.dev/cluster={cluster}"));
            for object in self.objects(kind).list(&labels).await.unwrap() {
                all.insert(format!("{kind}/{}", object.metadata.name.clone().unwrap()), object);
            }
        }
        all
    }

    /// Waits until the cluster has all its objects and a status about its generation; returns the objects.
    pub(crate) async fn converged(&self, cluster: &str) -> BTreeMap<String, DynamicObject> {
        eventually(&format!("{cluster} has converged"), async || {
            let status = self.clusters().get(cluster).await.unwrap();
            let told = status.status.as_ref().and_then(|told| told.observed_generation);
            let children = self.children(cluster).await;
            let whole = children.len() == KINDS.iter().map(|(_, _, _, count)| count).sum::<usize>();
            (whole && told == status.metadata.generation).then_some(children)
        })
        .await
    }

    pub(crate) async fn lease(&self) -> Option<Lease> {
        Api::<Lease>::namespaced(self.client.clone(), SYSTEM).get_opt("greenroom-operator").await.unwrap()
    }

    /// Who has the Lease.
    pub(crate) async fn leader(&self) -> Option<String> {
        self.lease().await?.spec?.holder_identity.filter(|holder| !holder.is_empty())
    }

    pub(crate) async fn led_by(&self, identity: &str) {
        eventually(&format!("{identity} leads"), async || {
            (self.leader().await.as_deref() == Some(identity)).then_some(())
        })
        .await;
    }

    /// What changes an operator has sent, in order, its Lease aside.
    pub(crate) fn writes_of(&self, identity: &str) -> Vec<Written> {
        let log = std::fs::read_to_string(self.control.audit_log()).unwrap();
        let (mut seen, agent) = (std::collections::HashSet::new(), format!("({identity})\""));
        log.lines()
            .filter(|line| line.contains(&agent))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| matches!(event["verb"].as_str(), Some("create" | "update" | "patch" | "delete")))
            .filter(|event| event["objectRef"]["resource"] != "leases")
            .filter(|event| seen.insert(event["auditID"].as_str().unwrap().to_owned()))
            .map(|event| Written {
                what: format!(
                    "{} {} {}",
                    event["verb"].as_str().unwrap_or_default(),
                    event["objectRef"]["resource"].as_str().unwrap_or_default(),
                    event["objectRef"]["name"].as_str().unwrap_or_default()
                ),
                at: event["requestReceivedTimestamp"].as_str().unwrap().parse().unwrap(),
            })
            .collect()
    }

    /// Runs an operator in this process.
    pub(crate) async fn operator(&self, identity: &str) -> Running {
        self.operator_with(identity, self.config().await).await
    }

    pub(crate) async fn operator_with(&self, identity: &str, config: Config) -> Running {
        let operator = Operator::start(args(identity), config).await.unwrap();
        let (address, stop) = (operator.address(), CancellationToken::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move { operator.run(stopped).await.unwrap() });
        Running { url: format!("http://{address}"), stop, task }
    }

    /// Runs an operator as a process.
    pub(crate) fn process(&self, identity: &str) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom-operator"));
        command.args(&arguments(identity)[1..]).env("KUBECONFIG", self.control.kubeconfig());
        if std::env::var_os("SHOW").is_none() {
            command.stderr(Stdio::null());
        }
        Process(command.spawn().unwrap())
    }
}

/// One change that an operator sent.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) what: String,
    pub(crate) at: jiff::Timestamp,
}

fn arguments(identity: &str) -> Vec<String> {
    let arguments = ["greenroom-operator", "--identity", identity, "--namespace", SYSTEM];
    let more = ["--node-image", "greenroom.dev/greenroom:test", "--http-listen", "127.0.0.1:0"];
    arguments.into_iter().chain(more).map(str::to_owned).collect()
}

pub(crate) fn args(identity: &str) -> Args {
    Args::parse_from(arguments(identity))
}

/// An operator in this process; dropping it ends it without notice.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An operator as a process; dropping it kills it.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks until there is an answer; at most a minute.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(Duration::from_secs(60), what, &mut ask).await
}

pub(crate) async fn within<T>(limit: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within {limit:?}: {what}");
}

/// A path of the operator's HTTP pages: its status and text.
pub(crate) async fn page(running: &Running, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = running.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
