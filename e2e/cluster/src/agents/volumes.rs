//! Volumes: directories of nodes, made when the scheduler has chosen a node for the pod that claims one.
//!
//! It looks at a claim's class and chosen node only. The annotation that names the provisioner would be the official
//! sign, but the controller-manager sets it after a conflict that it repeats 5 s later.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::Notify;

use super::watched::Watched;
use crate::error::{Doing, Result};
use crate::network::NodeNumber;
use crate::node::{Node, VOLUMES};

/// The default class of volumes.
pub(crate) const STORAGE_CLASS: &str = "local";
/// Who makes them.
pub(crate) const PROVISIONER: &str = "cluster.local/directories";

const CHOSEN_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Makes and removes volumes.
pub(super) async fn run(client: Client, cluster: &Path) -> Result<()> {
    let changed = Arc::new(Notify::new());
    let claims = Watched::<PersistentVolumeClaim>::start(client.clone(), changed.clone());
    let volumes = Watched::<PersistentVolume>::start(client.clone(), changed.clone());
    claims.listed().await;
    volumes.listed().await;
    let api = Api::all(client);
    loop {
        for step in plan(&claims.all(), &volumes.all()) {
            if let Err(error) = carry_out(&step, &api, cluster).await {
                eprintln!("{step:?}: {error}");
                tokio::time::sleep(RETRY).await;
                changed.notify_one();
            }
        }
        changed.notified().await;
    }
}

#[derive(Debug)]
enum Step {
    Make { volume: Box<PersistentVolume>, node: String },
    Remove { volume: String, node: String },
}

/// What to do so that each claim has its volume, and no volume is left without its claim.
fn plan(claims: &[Arc<PersistentVolumeClaim>], volumes: &[Arc<PersistentVolume>]) -> Vec<Step> {
    let is_made = |name: &str| volumes.iter().any(|volume| volume.name_any() == name);
    let make = claims.iter().filter_map(|claim| {
        let spec = claim.spec.as_ref()?;
        let waits = spec.volume_name.is_none() && claim.metadata.deletion_timestamp.is_none();
        let node = claim.annotations().get(CHOSEN_NODE)?;
        let is_ours = spec.storage_class_name.as_deref() == Some(STORAGE_CLASS);
        let volume = volume_for(claim, node)?;
        let needed = waits && is_ours && !is_made(&volume.name_any());
        needed.then(|| Step::Make { volume: Box::new(volume), node: node.clone() })
    });
    let remove = volumes.iter().filter_map(|volume| {
        let is_ours = volume.annotations().get(PROVISIONED_BY).is_some_and(|by| by == PROVISIONER);
        let phase = volume.status.as_ref()?.phase.as_deref();
        let policy = volume.spec.as_ref()?.persistent_volume_reclaim_policy.as_deref();
        let unused = is_ours && phase == Some("Released") && policy == Some("Delete");
        unused.then(|| Step::Remove { volume: volume.name_any(), node: node_of(volume).unwrap_or_default() })
    });
    make.chain(remove).collect()
}

fn volume_for(claim: &PersistentVolumeClaim, node: &str) -> Option<PersistentVolume> {
    let (spec, uid) = (claim.spec.as_ref()?, claim.uid()?);
    let name = format!("pvc-{uid}");
    let size = spec.resources.as_ref()?.requests.as_ref()?.get("storage")?;
    let volume = json!({
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": spec.access_modes,
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": STORAGE_CLASS,
            "volumeMode": "Filesystem",
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(), "name": claim.name_any(), "uid": uid,
            },
            "local": {"path": format!("{VOLUMES}/{name}")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]},
            ]}]}},
        },
    });
    Some(serde_json::from_value(volume).expect("the object is written above"))
}

/// The node that [`volume_for`] wrote into the volume.
fn node_of(volume: &PersistentVolume) -> Option<String> {
    let affinity = volume.spec.as_ref()?.node_affinity.as_ref()?.required.as_ref()?;
    let rule = affinity.node_selector_terms.first()?.match_expressions.as_ref()?.first()?;
    rule.values.as_ref()?.first().cloned()
}

async fn carry_out(step: &Step, api: &Api<PersistentVolume>, cluster: &Path) -> Result<()> {
    match step {
        Step::Make { volume, node } => {
            let directory = directory(cluster, node, &volume.name_any())?;
            let doing = || format!("make {}", directory.display());
            std::fs::create_dir_all(&directory).doing(doing)?;
            // Whatever user the pod runs as.
            let everybody = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(&directory, everybody).doing(doing)?;
            match api.create(&PostParams::default(), volume).await {
                // Our own of a moment ago, which the watch has not shown yet.
                Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
                made => drop(made?),
            }
            println!("made {} on {node}", volume.name_any());
        }
        Step::Remove { volume, node } => {
            // A node that is no more took its volumes along.
            if let Ok(directory) = directory(cluster, node, volume) {
                let _ = std::fs::remove_dir_all(directory);
            }
            match api.delete(volume, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.reason == "NotFound" => {}
                removed => drop(removed?),
            }
            println!("removed {volume} of {node}");
        }
    }
    Ok(())
}

fn directory(cluster: &Path, node: &str, volume: &str) -> Result<PathBuf> {
    Ok(Node::new(NodeNumber::parse(node)?, cluster).volumes().join(volume))
}
