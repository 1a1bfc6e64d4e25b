//! What can be done with a cluster on this machine, whatever it is made of.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Result;
use crate::node::NodeState;

/// How a cluster is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many nodes, at most nine.
    pub nodes: u8,
    /// Whether missing packages may be installed.
    pub install: bool,
    /// The program `greenroom-e2e-cluster`, for the parts that go on running.
    pub program: PathBuf,
}

/// A fault of a node, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeAction {
    /// Power off, without notice. The node keeps its disk.
    Kill,
    /// Power on.
    Start,
    /// Cut the network; everything on the node goes on.
    Partition,
    /// Mend the network.
    Heal,
    /// Stop all processes where they are; connections stay open.
    Pause,
    /// Let them go on.
    Unpause,
}

/// What there is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether the API server answers.
    pub ready: bool,
    /// The administrator's kubeconfig, if the cluster runs.
    pub kubeconfig: Option<PathBuf>,
    /// The API server's audit log: one JSON event per line.
    pub audit_log: Option<PathBuf>,
    /// Every node.
    pub nodes: Vec<NodeStatus>,
}

/// A node by name.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// Its name in Kubernetes.
    pub name: String,
    /// What it is doing.
    pub state: NodeState,
}

/// A cluster on this machine. There is at most one of a kind; it outlives the process that started it.
#[expect(async_fn_in_trait, reason = "its callers await in place and spawn nothing")]
pub trait Cluster {
    /// Starts the cluster, or finds that it runs. What a crashed start left behind is removed first.
    ///
    /// # Errors
    /// When something is missing, or does not become ready; what was started is ended again, and its logs stay.
    async fn up(&self, plan: &Plan) -> Result<()>;

    /// Ends the cluster and removes all that it left on this machine. It does not mind one that is not there.
    ///
    /// # Errors
    /// When something cannot be removed; the error names it.
    async fn down(&self) -> Result<()>;

    /// What there is.
    ///
    /// # Errors
    /// When it cannot be found out.
    async fn status(&self) -> Result<Status>;

    /// The administrator's kubeconfig.
    ///
    /// # Errors
    /// When the cluster does not run.
    fn kubeconfig(&self) -> Result<PathBuf>;

    /// Gives an image (an OCI archive or a docker-archive) to every node, also to those that start later.
    ///
    /// # Errors
    /// When the cluster does not run, or containerd refuses the archive.
    async fn load_image(&self, archive: &Path) -> Result<()>;

    /// Does something to a node. It returns when it is done, not when Kubernetes has noticed.
    ///
    /// # Errors
    /// When there is no such node, or it is not in a state for it.
    async fn node(&self, action: NodeAction, name: &str) -> Result<()>;

    /// A command inside of a node, not yet started: its arguments are the program and the program's.
    ///
    /// # Errors
    /// When there is no such node.
    fn exec(&self, name: &str) -> Result<std::process::Command>;
}
