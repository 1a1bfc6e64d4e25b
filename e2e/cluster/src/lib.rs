//! A real Kubernetes on this machine, for tests of whatever runs on Kubernetes.
//!
//! - [`ControlPlane`]: an API server without nodes, three seconds after a test asks for it. It is a value: it ends
//!   when it is dropped.
//! - [`Cluster`]: an API server with nodes that run pods and can be broken. It is a thing on this machine: it goes on
//!   until it is told to end, and is steered by the program `greenroom-e2e-cluster` (`cargo xtask cluster`).
//!   [`ProcessCluster`] is made of plain processes, [`KindCluster`] of containers.
//! - [`supply`]: where every program comes from, pinned and built from source.
//! - [`image`]: container images without a container engine.

pub mod agents;
mod cgroup;
mod cluster;
mod control_plane;
mod credentials;
mod error;
mod flags;
pub mod image;
mod kind;
mod kubeconfig;
mod network;
mod node;
mod pki;
mod processes;
mod ready;
pub mod supply;

pub use cluster::{Cluster, NodeAction, NodeStatus, Plan, Status};
pub use control_plane::{ControlPlane, Options};
pub use error::{Error, Result};
pub use kind::{KindCluster, oci_runtime};
pub use kubeconfig::client;
pub use node::NodeState;
pub use processes::ProcessCluster;
