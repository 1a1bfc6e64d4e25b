//! Finds the ActorCluster that is meant: the one that is named, or the only one in the namespace.

use greenroom_crds::ActorCluster;
use kube::api::{Api, ListParams};

use super::KubernetesCluster;
use super::api::{ApiError, Deed, answer};
use super::connection::{Connection, KubernetesArgs};
use crate::failure::{Failure, Result};

/// Where ActorClusters are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// In the namespace that the arguments choose.
    One,
    /// Everywhere.
    All,
}

impl KubernetesArgs {
    /// The cluster that the arguments choose.
    pub(crate) async fn find(&self) -> Result<KubernetesCluster> {
        let connection = self.connect().await?;
        let found = match &self.cluster {
            Some(name) => named(&connection, name).await?,
            None => only(&connection, list(&connection, Namespaces::One).await?)?,
        };
        let name = found.metadata.name.unwrap_or_default();
        let expected = found.spec.node_names(&name);
        Ok(KubernetesCluster::new(connection, name, expected))
    }

    /// All ActorClusters, or only the one that is named.
    pub(crate) async fn clusters(&self, namespaces: Namespaces) -> Result<Vec<ActorCluster>> {
        let mut found = list(&self.connect().await?, namespaces).await?;
        found.retain(|found| self.cluster.is_none() || found.metadata.name == self.cluster);
        Ok(found)
    }
}

async fn named(connection: &Connection, name: &str) -> Result<ActorCluster> {
    let namespace = &connection.namespace;
    let api: Api<ActorCluster> = Api::namespaced(connection.client.clone(), namespace);
    let deed = Deed {
        what: format!("get the ActorCluster {name} in namespace {namespace}"),
        right: format!("get actorclusters.greenroom.dev in namespace {namespace}"),
    };
    answer(api.get(name)).await.map_err(|error| match &error {
        ApiError::NoObject(_) => Failure::new(format!("there is no ActorCluster {name} in {connection}"))
            .hint(format!(
                "`greenroom get clusters -n {namespace}` lists those that are there, with -A everywhere"
            )),
        _ => deed.failure(&error),
    })
}

async fn list(connection: &Connection, namespaces: Namespaces) -> Result<Vec<ActorCluster>> {
    let client = connection.client.clone();
    let (api, place): (Api<ActorCluster>, _) = match namespaces {
        Namespaces::One => {
            (Api::namespaced(client, &connection.namespace), format!("namespace {}", connection.namespace))
        }
        Namespaces::All => (Api::all(client), "all namespaces".to_owned()),
    };
    let deed = Deed {
        what: format!("list the ActorClusters in {place}"),
        right: format!("list actorclusters.greenroom.dev in {place}"),
    };
    let found = answer(api.list(&ListParams::default())).await;
    Ok(found.map_err(|error| deed.failure(&error))?.items)
}

fn only(connection: &Connection, mut found: Vec<ActorCluster>) -> Result<ActorCluster> {
    match (found.pop(), found.is_empty()) {
        (Some(found), true) => Ok(found),
        (None, _) => Err(Failure::new(format!("there is no ActorCluster in {connection}"))
            .hint(
                "choose another namespace with -n; `greenroom get clusters -A` lists those of all namespaces",
            )
            .hint("or make one: kubectl apply -f CLUSTER.yaml")),
        (Some(last), false) => {
            let names = found.iter().chain([&last]).filter_map(|found| found.metadata.name.as_deref());
            let names = names.collect::<Vec<_>>().join(", ");
            Err(Failure::new(format!("there are several ActorClusters in {connection}: {names}"))
                .hint("choose one with -c NAME"))
        }
    }
}
