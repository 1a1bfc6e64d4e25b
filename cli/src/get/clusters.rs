//! `greenroom get clusters`: the ActorClusters in Kubernetes, or the dev clusters on this machine, running or not.

use std::path::Path;

use greenroom_crds::ActorCluster;
use jiff::Timestamp;
use serde::Serialize;

use crate::dev::endpoints::{Endpoints, Found};
use crate::failure::{Failure, Result};
use crate::kubernetes::{self, Namespaces};
use crate::output::{self, Column, Row, age};
use crate::target::{DevTargetArgs, Place, cluster_dirs};

/// List the clusters
///
/// Those of the namespace in Kubernetes, or those of `greenroom dev` on this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Those of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["data", "cluster_name", "address", "namespace"])]
    all_namespaces: bool,
    #[command(flatten)]
    common: super::Common,
}

/// One cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterRow {
    name: String,
    /// Only in Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Only of a dev cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    /// `Ready`, `NotReady` or, of a dev cluster, `Stopped`.
    phase: &'static str,
    /// How many nodes serve calls.
    ready_nodes: u16,
    /// How many it should have; unknown of a dev cluster that does not run.
    nodes: Option<u16>,
    /// How many actors are in memory, rounded to two digits.
    activations: Option<u64>,
    image: Option<String>,
    created: Option<Timestamp>,
}

impl Row for ClusterRow {
    const NONE: &'static str = "there is no cluster";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text("NAME", |row| row.name.clone()),
        Column::text("WHERE", |row| {
            row.namespace.clone().or_else(|| row.directory.clone()).unwrap_or_default()
        }),
        Column::text("PHASE", |row| row.phase.to_owned()),
        Column::number("NODES", |row| {
            row.nodes.map_or_else(|| "-".to_owned(), |nodes| format!("{}/{nodes}", row.ready_nodes))
        }),
        Column::number("ACTIVATIONS", |row| or_dash(row.activations)),
        Column::number("AGE", |row| {
            let since = |created| Timestamp::now().duration_since(created).try_into().unwrap_or_default();
            or_dash(row.created.map(|created| age(since(created))))
        }),
        Column::wide(Column::text("IMAGE", |row| or_dash(row.image.clone()))),
    ];
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

impl From<ActorCluster> for ClusterRow {
    fn from(cluster: ActorCluster) -> Self {
        let status = cluster.status.unwrap_or_default();
        let is_ready = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            condition.type_ == "Ready" && condition.status == "True"
        };
        Self {
            name: cluster.metadata.name.unwrap_or_default(),
            namespace: cluster.metadata.namespace,
            directory: None,
            phase: if status.conditions.iter().any(is_ready) { "Ready" } else { "NotReady" },
            ready_nodes: status.ready_replicas,
            nodes: Some(cluster.spec.total_replicas()),
            activations: status.activations.map(|activations| activations.total),
            image: cluster.spec.image,
            created: cluster.metadata.creation_timestamp.map(|time| time.0),
        }
    }
}

pub(super) async fn run(args: Args) -> Result {
    let Args { all_namespaces, common } = args;
    let target = &common.target;
    let place = if all_namespaces { Place::Kubernetes } else { target.place()? };
    let rows = match place {
        Place::Address(_) => {
            return Err(Failure::new("a node knows no cluster but its own").hint("leave --address out"));
        }
        Place::Dev => of_dev(&target.dev)?,
        Place::Kubernetes => of_kubernetes(&common, all_namespaces).await?,
        Place::DevOrKubernetes => match of_dev(&target.dev)? {
            none if none.is_empty() && kubernetes::has_kubeconfig() => of_kubernetes(&common, false).await?,
            rows => rows,
        },
    };
    output::print_list(&rows, common.output)
}

async fn of_kubernetes(common: &super::Common, all_namespaces: bool) -> Result<Vec<ClusterRow>> {
    let namespaces = if all_namespaces { Namespaces::All } else { Namespaces::One };
    let clusters = common.target.kubernetes.clusters(namespaces);
    let clusters = output::with_spinner("asking the API server", clusters).await?;
    Ok(clusters.into_iter().map(ClusterRow::from).collect())
}

/// The clusters of the nearest data directory that has some.
fn of_dev(args: &DevTargetArgs) -> Result<Vec<ClusterRow>> {
    for data_dir in args.data_dirs()? {
        let rows: Vec<_> = cluster_dirs(&data_dir, args.name())
            .iter()
            .filter_map(|dir| in_dir(dir).transpose())
            .collect::<Result<_>>()?;
        if !rows.is_empty() {
            return Ok(rows);
        }
    }
    Ok(Vec::new())
}

fn in_dir(dir: &Path) -> Result<Option<ClusterRow>> {
    let Some(name) = dir.file_name().map(|name| name.to_string_lossy().into_owned()) else { return Ok(None) };
    let row = ClusterRow { name, directory: Some(dir.display().to_string()), ..Default::default() };
    Ok(match Endpoints::find(dir)? {
        Found::Running(endpoints) => {
            let there = u16::try_from(endpoints.nodes.len()).unwrap_or(u16::MAX);
            let expected = endpoints.node_names().count() as u16;
            let phase = if there == expected { "Ready" } else { "NotReady" };
            Some(ClusterRow { phase, ready_nodes: there, nodes: Some(expected), ..row })
        }
        Found::Stale { .. } | Found::Nothing => {
            dir.is_dir().then_some(ClusterRow { phase: "Stopped", ..row })
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dev::endpoints::tests::demo;
    use crate::output::{ListFormat, render_list};

    fn in_kubernetes(status: serde_json::Value) -> ClusterRow {
        let cluster: ActorCluster = serde_json::from_value(json!({
            "apiVersion": "greenroom.dev/v1alpha1",
            "kind": "ActorCluster",
            "metadata": { "name": "demo", "namespace": "games", "creationTimestamp": "3000-01-01T00:00:00Z" },
            "spec": { "replicas": 3 },
            "status": status,
        }))
        .unwrap();
        cluster.into()
    }

    #[test]
    fn clusters_of_both_kinds_look_the_same() {
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "AllNodesServe", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let data = tempfile::tempdir().unwrap();
        let dirs = ["demo", "old"].map(|name| data.path().join(name));
        dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        demo(std::process::id()).write(&dirs[0]).unwrap();
        let mut rows: Vec<_> = dirs.iter().map(|dir| in_dir(dir).unwrap().unwrap()).collect();
        rows.iter_mut().for_each(|row| row.directory = Some(format!(".greenroom/{}", row.name)));
        rows.push(in_kubernetes(json!({ "readyReplicas": 2 })));
        rows.push(in_kubernetes(
            json!({ "readyReplicas": 3, "activations": { "total": 1200 }, "conditions": [ready] }),
        ));
        insta::assert_snapshot!(render_list(&rows, ListFormat::Wide).unwrap(), @r"
        NAME   WHERE             PHASE      NODES   ACTIVATIONS   AGE   IMAGE
        demo   .greenroom/demo   NotReady     2/3             -     -   -
        old    .greenroom/old    Stopped        -             -     -   -
        demo   games             NotReady     2/3             -    0s   -
        demo   games             Ready        3/3          1200    0s   -
        ");
        insta::assert_snapshot!(render_list(&rows[2..3], ListFormat::Json).unwrap(), @r#"
        {
          "items": [
            {
              "name": "demo",
              "namespace": "games",
              "phase": "NotReady",
              "readyNodes": 2,
              "nodes": 3,
              "activations": null,
              "image": null,
              "created": "3000-01-01T00:00:00Z"
            }
          ]
        }
        "#);
    }
}
