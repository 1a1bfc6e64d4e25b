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
pub(crate) mod oci_runtime;
mod rootfs;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Result, output_of};
use crate::supply::{Supply, Tool, cache_dir};

use engine::Engine;

/// What kind, and the making of its node image, needs.
const TOOLS: [Tool; 15] = [
    Tool::Kind,
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

/// A cluster of kind.
pub(crate) struct Kind {
    supply: Supply,
    engine: Engine,
    folder: PathBuf,
}

impl Kind {
    /// Finds a container engine, or makes one; nothing is started yet.
    pub(crate) async fn new(install: bool) -> Result<Self> {
        let folder = cache_dir()?.join("kind");
        std::fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let engine = Engine::find(&folder);
        let tools: &[Tool] = if engine.is_ours() { &TOOLS } else { &[Tool::Kind, Tool::Kubectl] };
        if engine.is_ours() {
            engine::install(install)?;
        }
        Ok(Self { supply: Supply::ensure(tools).await?, engine, folder })
    }

    /// Brings the cluster up; one that runs is left as it is.
    pub(crate) async fn up(&self) -> Result<()> {
        if self.is_up() {
            return Ok(());
        }
        let config = if self.engine.is_ours() {
            self.engine.start()?;
            node_image::ensure(&self.supply, &self.engine, &self.folder)?;
            config::for_our_image(self.engine.address())
        } else {
            config::PLAIN.to_owned()
        };
        let file = self.folder.join("kind.yaml");
        std::fs::write(&file, config).doing(|| format!("write {}", file.display()))?;
        let mut create = self.kind(&["create", "cluster", "--name", NAME]);
        create.arg("--config").arg(&file).arg("--kubeconfig").arg(self.kubeconfig());
        if self.engine.is_ours() {
            create.args(["--image", node_image::REFERENCE]);
        }
        output_of(&mut create)?;
        if self.engine.is_ours() {
            network::connect(&self.engine, &self.kubectl(&["get", "nodes", "-o", "json"]))?;
        }
        let within = "--timeout=180s";
        output_of(&mut self.kubectl(&["wait", "--for=condition=Ready", "node", "--all", within]).into_command())?;
        for deployment in ["kube-system/coredns", "local-path-storage/local-path-provisioner"] {
            let (namespace, name) = deployment.split_once('/').expect("it is written with one");
            let status = ["-n", namespace, "rollout", "status", &format!("deployment/{name}"), within];
            output_of(&mut self.kubectl(&status).into_command())?;
        }
        Ok(())
    }

    /// Ends the cluster, and the engine if it is ours.
    pub(crate) fn down(&self) -> Result<()> {
        if self.engine.is_running() {
            output_of(&mut self.kind(&["delete", "cluster", "--name", NAME]))?;
        }
        self.engine.stop()
    }

    /// True if the nodes run.
    pub(crate) fn is_up(&self) -> bool {
        let clusters = || output_of(&mut self.kind(&["get", "clusters", "--quiet"]));
        self.engine.is_running() && clusters().is_ok_and(|all| all.lines().any(|name| name == NAME))
    }

    /// The file for `kubectl`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Puts the images of an archive on all nodes.
    pub(crate) fn load_image(&self, archive: &Path) -> Result<()> {
        let mut load = self.kind(&["load", "image-archive", "--name", NAME]);
        output_of(load.arg(archive)).map(drop)
    }

    /// Does to a node what its owner could do: `kill`, `start`, `pause`, `unpause`, `partition`, `heal`.
    pub(crate) fn node(&self, action: &str, node: &str) -> Result<()> {
        match action {
            "partition" => network::cut(&self.engine, node),
            "heal" => network::heal(&self.engine, node),
            _ => {
                output_of(self.engine.docker().args([action, node]))?;
                if action == "start" && self.engine.is_ours() {
                    // Its links are new ones, and so its routes are gone.
                    network::connect(&self.engine, &self.kubectl(&["get", "nodes", "-o", "json"]))?;
                }
                Ok(())
            }
        }
    }

    /// A command inside of a node, not yet started.
    pub(crate) fn exec(&self, node: &str) -> Command {
        let mut exec = self.engine.docker();
        exec.args(["exec", node]);
        exec
    }

    fn kind(&self, arguments: &[&str]) -> Command {
        let mut kind = Command::new(self.supply.path(Tool::Kind));
        kind.args(arguments).env("KIND_EXPERIMENTAL_PROVIDER", "docker");
        self.engine.point(&mut kind);
        kind
    }

    fn kubectl(&self, arguments: &[&str]) -> Kubectl {
        Kubectl {
            program: self.supply.path(Tool::Kubectl),
            kubeconfig: self.kubeconfig(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        }
    }
}

/// `kubectl` with its arguments; it may be started several times.
struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    arguments: Vec<String>,
}

impl Kubectl {
    fn into_command(self) -> Command {
        self.command()
    }

    fn command(&self) -> Command {
        let mut kubectl = Command::new(&self.program);
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig).args(&self.arguments);
        kubectl
    }
}
