//! A real Kubernetes on this machine, for tests of whatever runs on Kubernetes.
//!
//! - [`ControlPlane`]: an API server without nodes, three seconds after a test asks for it;
//! - [`supply`]: where every program comes from, pinned and built from source.

mod control_plane;
mod credentials;
mod error;
mod flags;
mod kubeconfig;
mod pki;
pub mod supply;

pub use control_plane::{ControlPlane, Options};
pub use error::{Error, Result};
pub use kubeconfig::client;
