//! Step 4 of a reconcile: tells the user. Written only if it changed, under a field manager of its own, so that the
//! status of an idle cluster costs nothing and objects and status never fight over ownership.

use greenroom_crds::{ActorCluster, ActorClusterStatus};
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use crate::error::Error;
use crate::watches::{Caches, Watched};

/// The field manager of statuses.
pub(crate) const STATUS_MANAGER: &str = "greenroom-operator-status";

/// Writes the status if it differs from what the cluster had when it was observed.
pub(crate) async fn write(
    client: &Client,
    caches: &Caches,
    cluster: &ActorCluster,
    status: &ActorClusterStatus,
) -> Result<(), Error> {
    if cluster.status.as_ref() == Some(status) {
        return Ok(());
    }
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let clusters: Api<ActorCluster> = Api::namespaced(client.clone(), &namespace);
    let object = json!({
        "apiVersion": ActorCluster::api_version(&()),
        "kind": ActorCluster::kind(&()),
        // The uid makes it a conflict if the cluster was deleted and made again meanwhile.
        "metadata": {"name": name, "uid": cluster.uid()},
        "status": status,
    });
    let how = PatchParams::apply(STATUS_MANAGER).force();
    let written = clusters.patch_status(&name, &how, &Patch::Apply(object)).await;
    let written = written.map_err(Error::api(format!("apply the status of ActorCluster {name}")))?;
    let version = written.resource_version();
    caches.wrote(&ObjectRef::from_obj(cluster), Watched::Clusters, version.as_deref());
    Ok(())
}
