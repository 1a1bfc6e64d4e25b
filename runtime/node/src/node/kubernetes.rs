//! What a node in Kubernetes needs of it: the shard map in the API server, and the identities that the operator gives.
//!
//! Only here does the feature `kubernetes` make a difference. Without it each question is answered by an error that
//! names the feature.

use std::sync::Arc;

use greenroom_cluster::Coordination;
use greenroom_core::env::SharedEnv;

use super::NodeError;
use super::security::Identities;
use crate::config::NodeConfig;

/// The shard map as the API server keeps it.
#[cfg(feature = "kubernetes")]
pub(super) async fn coordination(
    config: &NodeConfig,
    env: &SharedEnv,
) -> Result<Arc<dyn Coordination>, NodeError> {
    let (namespace, env) = (namespace(config), env.clone());
    let connected = greenroom_coordination_kube::KubeCoordination::in_cluster(
        namespace,
        &config.cluster,
        config.layout()?.total(),
        env,
    );
    Ok(Arc::new(connected.await.map_err(|error| NodeError::Kubernetes(error.to_string()))?))
}

/// Who is who in the certificates of this cluster.
#[cfg(feature = "kubernetes")]
pub(super) fn identities(config: &NodeConfig) -> Result<Identities, NodeError> {
    use greenroom_crds::names::identity;
    let (cluster, namespace) = (config.cluster.as_str(), namespace(config));
    Ok(Identities {
        node: identity::node(cluster, namespace),
        administrators: vec![identity::admin(cluster, namespace), identity::OPERATOR.to_owned()],
        readers: vec![identity::PLACEMENT_API.to_owned()],
    })
}

#[cfg(feature = "kubernetes")]
fn namespace(config: &NodeConfig) -> &str {
    config.namespace.as_deref().unwrap_or("default")
}

#[cfg(not(feature = "kubernetes"))]
pub(super) async fn coordination(_: &NodeConfig, _: &SharedEnv) -> Result<Arc<dyn Coordination>, NodeError> {
    Err(NodeError::Feature("--coordination kubernetes"))
}

#[cfg(not(feature = "kubernetes"))]
pub(super) fn identities(_: &NodeConfig) -> Result<Identities, NodeError> {
    Err(NodeError::Feature("--tls-dir"))
}
