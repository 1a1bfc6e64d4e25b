//! A real API server, real nodes in this process, and the placement API between them.
//!
//! Nodes listen on loopback addresses of their own, at the port that pods have, and stand in Kubernetes as pods with
//! those addresses: a test plays the kubelet. The API server reaches the placement API by a Service of type ExternalName,
//! which needs no address that it would refuse.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod paging;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use greenroom::config::{NodeArgs, NodeConfig, StorageEngine};
use greenroom::node::Node;
use greenroom::{Actor, Client, Counter, actor_methods};
use greenroom_cluster::Embedded;
use greenroom_cluster::coordination::serve;
use greenroom_core::engine::EngineBuilder;
use greenroom_crds::names::identity;
use greenroom_e2e_cluster::{ControlPlane, Options};
use greenroom_placement_api::args::{Args, LogFormat};
use greenroom_placement_api::server;
use greenroom_tls::Pem;
use greenroom_tls::testing::Authority;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client as Kube};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

/// Where the clusters are.
pub(crate) const NAMESPACE: &str = "play";
/// Where the placement API is.
pub(crate) const SYSTEM: &str = "greenroom-system";
/// Whom the placement API is, for RBAC.
pub(crate) const ACCOUNT: &str = "placement-api";
/// The port of the admin service in pods.
const ADMIN: u16 = 7402;
/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Remembers nothing, and soon leaves.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile, idle_timeout = "2s")]
pub(crate) struct Ghost {}

#[actor_methods]
impl Ghost {
    pub(crate) async fn wake(&self) -> bool {
        true
    }
}

/// Everything that a test needs.
pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) kube: Kube,
    pub(crate) authority: Arc<Authority>,
    pub(crate) files: TempDir,
    pub(crate) api: PlacementApi,
}

/// A running placement API.
pub(crate) struct PlacementApi {
    pub(crate) address: SocketAddr,
    pub(crate) http: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl World {
    /// Without clusters, with the right and the certificate to ask them.
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let api_server_args = vec!["--enable-aggregator-routing=false".to_owned()];
        let plane = ControlPlane::start_with(Options { api_server_args, ..options }).await.unwrap();
        let kube = plane.client();
        for namespace in [NAMESPACE, SYSTEM] {
            kubectl(&plane, &["create", "namespace", namespace]).await;
        }
        let (address, http) = (free_address(), free_address());
        apply(&plane, include_str!("rbac.yaml")).await;
        apply(&plane, &include_str!("api-service.yaml").replace("PORT", &address.port().to_string())).await;
        let (authority, files) = (Arc::new(Authority::new()), TempDir::new().unwrap());
        mount(&files.path().join("client"), &authority.pem(&[identity::PLACEMENT_API]));
        let api = PlacementApi::start(&plane, address, http, &files.path().join("client")).await;
        let world = Self { plane, kube, authority, files, api };
        world
            .until("the API is available", async || {
                world.kubectl(&["get", "actorplacements", "-A"]).await.0.is_ok()
            })
            .await;
        world
    }

    /// Stops the placement API and starts it at the same address.
    pub(crate) async fn restart_api(self) -> Self {
        self.without_api(async |_: &Self| {}).await
    }

    /// Does something while the placement API is away.
    pub(crate) async fn without_api(mut self, act: impl AsyncFn(&Self)) -> Self {
        let (address, http) = (self.api.address, self.api.http);
        self.api.stop.cancel();
        (&mut self.api.task).await.unwrap().unwrap();
        act(&self).await;
        self.api = PlacementApi::start(&self.plane, address, http, &self.files.path().join("client")).await;
        self
    }

    /// What kubectl prints, and what it says on standard error.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> (Result<String, String>, String) {
        run(self.plane.kubectl(), args).await
    }

    /// What kubectl prints; it must succeed without a warning.
    pub(crate) async fn ok(&self, args: &[&str]) -> String {
        let (output, errors) = self.kubectl(args).await;
        let silent = errors.lines().all(|line| line.starts_with("No resources found"));
        assert!(silent, "{args:?}: {errors}");
        output.unwrap()
    }

    /// What kubectl prints, as JSON.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["-o", "json"]].concat()).await).unwrap()
    }

    /// What the API server answers to a GET.
    pub(crate) async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.ok(&["get", "--raw", path]).await).unwrap()
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is: impl AsyncFn() -> bool) {
        let waiting = async {
            while !is().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(LIMIT, waiting).await.is_ok(), "not so in time: {what}");
    }

    /// Makes the Pod of a node.
    pub(crate) async fn pod(&self, namespace: &str, cluster: &str, name: &str, ip: Ipv4Addr) {
        let pods = Api::<Pod>::namespaced(self.kube.clone(), namespace);
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "labels": {
                "app.kubernetes.io/managed-by": "greenroom-operator",
                "app.kubernetes.io/component": "node",
                "greenroom.dev/cluster": cluster,
            } },
            "spec": { "containers": [{ "name": "node", "image": "none" }], "nodeName": "host-a" },
        });
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let started = jiff::Timestamp::now().to_string();
        let status = json!({ "status": { "phase": "Running", "podIP": ip.to_string(), "containerStatuses": [{
            "name": "node", "image": "none", "imageID": "", "ready": true, "restartCount": 0,
            "state": { "running": { "startedAt": started } },
        }] } });
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// Takes the Pod of a node away.
    pub(crate) async fn delete_pod(&self, name: &str) {
        let pods = Api::<Pod>::namespaced(self.kube.clone(), NAMESPACE);
        pods.delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// Starts a cluster of real nodes and makes their Pods.
    pub(crate) async fn cluster(&self, name: &str, replicas: u32) -> Cluster {
        Cluster::start(self, name, replicas).await
    }

    /// `kubectl get -w` or the like, line by line.
    pub(crate) async fn watch(&self, args: &[&str]) -> Watching {
        let mut child = Command::from(self.plane.kubectl())
            .args(args)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Watching { _child: child, lines }
    }
}

/// A kubectl that goes on.
pub(crate) struct Watching {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    /// The next line, which must come in time.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await.expect("a line in time");
        line.unwrap().expect("the watch goes on")
    }

    /// The next line as an event.
    pub(crate) async fn event(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }
}

impl PlacementApi {
    async fn start(plane: &ControlPlane, address: SocketAddr, http: SocketAddr, certificate: &Path) -> Self {
        let kubeconfig = plane.kubeconfig_for(ACCOUNT, &[]).unwrap();
        let client = greenroom_e2e_cluster::client(&kubeconfig).await.unwrap();
        let stop = CancellationToken::new();
        let args = Args {
            namespace: SYSTEM.into(),
            service_name: "greenroom-placement-api".into(),
            tls_secret: "greenroom-placement-api-tls".into(),
            client_tls_dir: certificate.to_owned(),
            watch_namespaces: Vec::new(),
            listen: address,
            http_listen: http,
            log: "info".into(),
            log_format: LogFormat::Text,
        };
        let task = tokio::spawn(server::run(args, client, stop.clone()));
        Self { address, http, stop, task }
    }

    /// Ends it, with all its connections.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// Real nodes with mutual TLS.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    _directory: TempDir,
}

impl Cluster {
    async fn start(world: &World, name: &str, replicas: u32) -> Self {
        let directory = TempDir::new().unwrap();
        let register =
            Embedded::directory(&directory.path().join("coordination"), NodeConfig::local().shards).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let coordination = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { serve(Arc::new(register), listener, std::future::pending()).await });
        let certificate = directory.path().join("tls");
        mount(&certificate, &world.authority.pem(&[&identity::node(name, NAMESPACE)]));
        let mut nodes = Vec::new();
        for i in 0..replicas {
            let (node, ip) = (format!("{name}-{i}"), free_ip());
            let any = "127.0.0.1:0".parse().ok();
            let config = NodeArgs {
                cluster: Some(name.to_owned()),
                node: Some(node.clone()),
                namespace: Some(NAMESPACE.to_owned()),
                tls_dir: Some(certificate.clone()),
                storage_engine: Some(StorageEngine::Memory),
                coordination: Some(coordination.clone()),
                replicas: Some(replicas),
                gateway_listen: any,
                mesh_listen: any,
                health_listen: any,
                admin_listen: Some((ip, ADMIN).into()),
                drain_seconds: Some(5),
                ..NodeArgs::default()
            };
            let types = Box::new(|types: EngineBuilder| types.register::<Counter>().register::<Ghost>());
            nodes.push(Node::start(config.resolve().unwrap(), types).await.unwrap());
            world.pod(NAMESPACE, name, &node, ip).await;
        }
        for node in &nodes {
            node.when_active().await.unwrap();
        }
        Self { nodes, _directory: directory }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.nodes.iter().map(|node| node.peer().gateway_address.clone())).unwrap()
    }

    /// Brings counters into memory.
    pub(crate) async fn count(&self, keys: impl IntoIterator<Item = &str>) {
        let client = self.client();
        for key in keys {
            client.actor::<Counter>(key).add(1).await.unwrap();
        }
    }
}

/// A loopback address on which the admin port is free, also beside tests that run at the same time.
fn free_ip() -> Ipv4Addr {
    loop {
        let ip = Ipv4Addr::new(127, fastrand::u8(1..), fastrand::u8(..), fastrand::u8(1..255));
        if std::net::TcpListener::bind((ip, ADMIN)).is_ok() {
            return ip;
        }
    }
}

/// An address below those that the kernel hands out.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(10_000..32_000)));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A listener that takes connections and says nothing, at the admin port of its address.
pub(crate) async fn mute() -> (Ipv4Addr, TcpListener) {
    let ip = free_ip();
    (ip, TcpListener::bind((ip, ADMIN)).await.unwrap())
}

/// Writes the files of a mounted Secret.
pub(crate) fn mount(directory: &Path, pem: &Pem) {
    std::fs::create_dir_all(directory).unwrap();
    for (name, content) in
        [("tls.crt", &pem.certificate), ("tls.key", &pem.key), ("ca.crt", &pem.authorities)]
    {
        std::fs::write(directory.join(name), content).unwrap();
    }
}

async fn kubectl(plane: &ControlPlane, args: &[&str]) -> String {
    run(plane.kubectl(), args).await.0.unwrap()
}

pub(crate) async fn run(command: std::process::Command, args: &[&str]) -> (Result<String, String>, String) {
    let Output { status, stdout, stderr } = Command::from(command).args(args).output().await.unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned());
    (if status.success() { Ok(stdout) } else { Err(stderr.clone()) }, stderr)
}

async fn apply(plane: &ControlPlane, manifest: &str) {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    kubectl(plane, &["apply", "-f", file.path().to_str().unwrap()]).await;
}
