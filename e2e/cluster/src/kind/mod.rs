//! Real kind: Kubernetes nodes in containers, brought up by the unmodified `kind` with its own entrypoint and kubeadm.
//!
//! Where a container engine runs, kind is simply used with its official node image. Elsewhere both are made here:
//!
//! - [`engine`]: a private dockerd, in a network namespace of its own with no way out;
//! - [`oci_runtime`]: what stands between dockerd and runc where root lacks a capability;
//! - [`rootfs`]: a Debian with kind's own files in it, [`images`]: what a node has preloaded, [`node_image`]: both in
//!   one image;
//! - [`network`]: the nodes' pod network, since kind's own is in no package registry;
//! - [`config`]: what kind is told.

mod config;
mod engine;
mod images;
mod network;
mod node_image;
pub mod oci_runtime;
mod rootfs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::{Cluster, NodeAction, NodeStatus, Plan, Status};
use crate::error::{Doing, Error, Result, output_of};
use crate::node::NodeState;
use crate::supply::{Supply, Tool, cache_dir};

use engine::Engine;

/// What kind needs.
const TOOLS: [Tool; 2] = [Tool::Kind, Tool::Kubectl];

/// What goes into our node image.
const IN_THE_IMAGE: [Tool; 14] = [
    Tool::Kubectl,
    Tool::Kubeadm,
    Tool::Kubelet,
    Tool::KubeApiserver,
    Tool::KubeControllerManager,
    Tool::KubeScheduler,
    Tool::KubeProxy,
    Tool::Etcd,
    Tool::Containerd,
    Tool::ContainerdShim,
    Tool::Ctr,
    Tool::Crictl,
    Tool::Coredns,
    Tool::LocalPathProvisioner,
];

/// The name of the cluster; its nodes are `greenroom-control-plane`, `greenroom-worker`, `greenroom-worker2`.
const NAME: &str = "greenroom";

/// How long kubectl waits for nodes, and for what kind installs.
const WITHIN: &str = "--timeout=180s";

/// The cluster of kind of this machine. It may run or not.
#[derive(Debug)]
pub struct KindCluster {
    engine: Engine,
    folder: PathBuf,
}

impl KindCluster {
    /// Looks for a container engine; nothing is started.
    ///
    /// # Errors
    /// When there is no place for the cluster, see [`cache_dir`].
    pub fn new() -> Result<Self> {
        let folder = cache_dir()?.join("kind");
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        Ok(Self { engine: Engine::find(&folder), folder })
    }

    /// Whether a container engine of this machine answers, so that none has to be made.
    #[must_use]
    pub fn finds_an_engine(&self) -> bool {
        !self.engine.is_ours()
    }

    /// What kind is told, and the image of its nodes.
    async fn prepare(&self, plan: &Plan) -> Result<String> {
        if !self.engine.is_ours() {
            return Ok(config::plain(plan.nodes));
        }
        engine::install(plan.install)?;
        let supply = Supply::ensure(&IN_THE_IMAGE).await?;
        self.engine.start(&plan.program)?;
        node_image::ensure(&supply, &self.engine, &self.folder)?;
        Ok(config::for_our_image(plan.nodes, self.engine.address()))
    }

    async fn create(&self, plan: &Plan) -> Result<()> {
        let config = self.prepare(plan).await?;
        let supply = Supply::ensure(&TOOLS).await?;
        let file = self.folder.join("kind.yaml");
        fs::write(&file, config).doing(|| format!("write {}", file.display()))?;
        // What is left of one that did not come up.
        output_of(&mut self.kind(&supply, &["delete", "cluster", "--name", NAME]))?;
        let mut create = self.kind(&supply, &["create", "cluster", "--name", NAME]);
        create.arg("--config").arg(&file).arg("--kubeconfig").arg(self.kubeconfig_file());
        if self.engine.is_ours() {
            create.args(["--image", node_image::REFERENCE]);
        }
        output_of(&mut create)?;
        self.connect(&supply)?;
        self.kubectl(&supply, &["wait", "--for=condition=Ready", "node", "--all", WITHIN])?;
        for deployment in ["kube-system/coredns", "local-path-storage/local-path-provisioner"] {
            let (namespace, name) = deployment.split_once('/').expect("it is written with one");
            let name = format!("deployment/{name}");
            self.kubectl(&supply, &["-n", namespace, "rollout", "status", &name, WITHIN])?;
        }
        Ok(())
    }

    /// Gives the nodes their pod network, if they are of our image.
    fn connect(&self, supply: &Supply) -> Result<()> {
        if !self.engine.is_ours() {
            return Ok(());
        }
        network::connect(&self.engine, &self.kubectl(supply, &["get", "nodes", "-o", "json"])?)
    }

    fn is_ready(&self, supply: &Supply) -> bool {
        self.engine.is_running()
            && self.kubectl(supply, &["get", "--raw", "/readyz", "--request-timeout", "5s"]).is_ok()
    }

    fn kubeconfig_file(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    fn kind(&self, supply: &Supply, arguments: &[&str]) -> Command {
        let mut kind = Command::new(supply.path(Tool::Kind));
        kind.args(arguments).env("KIND_EXPERIMENTAL_PROVIDER", "docker");
        self.engine.point(&mut kind);
        kind
    }

    fn kubectl(&self, supply: &Supply, arguments: &[&str]) -> Result<String> {
        let mut kubectl = Command::new(supply.path(Tool::Kubectl));
        output_of(kubectl.arg("--kubeconfig").arg(self.kubeconfig_file()).args(arguments))
    }

    fn docker(&self, arguments: &[&str]) -> Result<String> {
        output_of(self.engine.docker().args(arguments))
    }
}

impl Cluster for KindCluster {
    async fn up(&self, plan: &Plan) -> Result<()> {
        let supply = Supply::ensure(&TOOLS).await?;
        if self.is_ready(&supply) { Ok(()) } else { self.create(plan).await }
    }

    async fn down(&self) -> Result<()> {
        if self.engine.is_running() {
            let supply = Supply::ensure(&TOOLS).await?;
            output_of(&mut self.kind(&supply, &["delete", "cluster", "--name", NAME]))?;
        }
        self.engine.stop()
    }

    async fn status(&self) -> Result<Status> {
        let supply = Supply::ensure(&TOOLS).await?;
        let ready = self.is_ready(&supply);
        let mut nodes = Vec::new();
        if self.engine.is_running() {
            let filter = format!("label=io.x-k8s.kind.cluster={NAME}");
            let all =
                self.docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}} {{.State}}"])?;
            for (name, state) in all.lines().filter_map(|line| line.split_once(' ')) {
                let state = match state {
                    "running" => NodeState::Running,
                    "paused" => NodeState::Paused,
                    _ => NodeState::Off,
                };
                nodes.push(NodeStatus { name: name.to_owned(), state });
            }
        }
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let kubeconfig = ready.then(|| self.kubeconfig_file());
        Ok(Status { ready, kubeconfig, audit_log: None, nodes })
    }

    fn kubeconfig(&self) -> Result<PathBuf> {
        let file = self.kubeconfig_file();
        if file.exists() {
            Ok(file)
        } else {
            Err(Error::Refused("no cluster of kind runs; start it with up".into()))
        }
    }

    async fn load_image(&self, archive: &Path) -> Result<()> {
        let supply = Supply::ensure(&TOOLS).await?;
        output_of(self.kind(&supply, &["load", "image-archive", "--name", NAME]).arg(archive)).map(drop)
    }

    async fn node(&self, action: NodeAction, name: &str) -> Result<()> {
        match action {
            NodeAction::Kill => self.docker(&["kill", name]).map(drop),
            NodeAction::Pause => self.docker(&["pause", name]).map(drop),
            NodeAction::Unpause => self.docker(&["unpause", name]).map(drop),
            NodeAction::Partition => network::cut(&self.engine, name),
            NodeAction::Heal => network::heal(&self.engine, name),
            NodeAction::Start => {
                self.docker(&["start", name])?;
                // Its links are new ones, and so its routes are gone.
                self.connect(&Supply::ensure(&TOOLS).await?)
            }
        }
    }

    fn exec(&self, node: &str) -> Result<Command> {
        let mut exec = self.engine.docker();
        exec.args(["exec", node]);
        Ok(exec)
    }
}
