//! Mutual TLS of a node: its certificate, who may open links to it, and who may ask its admin service.
//!
//! Invariant: with a TLS directory no byte of mesh or admin service is served to somebody without a certificate of this
//! cluster's authorities, and the node itself never starts with files that the other nodes would refuse.

use std::path::Path;
use std::time::Duration;

use greenroom_cluster::mesh::MeshTls;
use greenroom_tls::{Acceptor, Tls, TlsError, directory};

use super::{NodeError, kubernetes};
use crate::config::NodeConfig;
use crate::servers::{Access, Guard};

/// How long the files may take to arrive. A Secret is there before a pod's containers start, unless it is optional or
/// being written just now.
const FILES_WITHIN: Duration = Duration::from_secs(60);

/// Who is who, by the names in certificates.
pub(super) struct Identities {
    /// The nodes of this cluster.
    pub(super) node: String,
    /// Who may ask a node everything.
    pub(super) administrators: Vec<String>,
    /// Who may ask a node what it holds.
    pub(super) readers: Vec<String>,
}

/// What the ports of a node are secured with.
pub(super) struct Security {
    pub(super) tls: Tls,
    pub(super) mesh: MeshTls,
    pub(super) admin: Guard,
}

impl Security {
    /// Loads the files if the configuration names a directory, and waits for them for a while.
    pub(super) async fn load(config: &NodeConfig) -> Result<Option<Self>, NodeError> {
        let Some(files) = &config.tls_dir else { return Ok(None) };
        let identities = kubernetes::identities(config)?;
        let tls = directory::load(files, FILES_WITHIN).await.map_err(|error| unusable(files, error))?;
        let found = tls.names();
        if !found.contains(&identities.node) {
            return Err(NodeError::Identity {
                directory: files.clone(),
                found: found.join(", "),
                expected: identities.node,
            });
        }
        Self::new(tls, identities).map(Some).map_err(|error| unusable(files, error))
    }

    fn new(tls: Tls, identities: Identities) -> Result<Self, TlsError> {
        let Identities { node, administrators, readers } = identities;
        let acceptor = Acceptor::new(tls.clone(), administrators.iter().chain(&readers))?;
        let admin = Guard { acceptor, access: Access::new(administrators) };
        Ok(Self { mesh: MeshTls::new(&tls, &node)?, admin, tls })
    }
}

fn unusable(directory: &Path, source: TlsError) -> NodeError {
    NodeError::Tls { directory: directory.to_owned(), source }
}
