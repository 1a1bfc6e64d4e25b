//! `greenroom get nodes`: what each node is and does, and which ones are not there.

use std::collections::BTreeMap;
use std::time::Duration;

use greenroom_proto::v1::NodeStatus;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::failure::Result;
use crate::output::{Column, Row, age};

/// List the nodes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this node
    #[arg(value_name = "NAME")]
    node: Option<String>,
    #[command(flatten)]
    common: super::Common,
}

/// One node.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeRow {
    pub(crate) name: String,
    pub(crate) cluster: String,
    /// `Absent` if the node should be there and is not.
    pub(crate) phase: String,
    /// The group that it belongs to; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) group: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) store: String,
    pub(crate) incarnation: u64,
    pub(crate) shards_owned: u32,
    pub(crate) shards_serving: u32,
    pub(crate) activations: u64,
    pub(crate) activations_by_type: BTreeMap<String, u64>,
    pub(crate) calls_total: u64,
    pub(crate) calls_failed_total: u64,
    pub(crate) commits_total: u64,
    pub(crate) uptime_ms: u64,
    pub(crate) gateway_address: String,
    pub(crate) mesh_address: String,
    pub(crate) admin_address: String,
    pub(crate) health_address: String,
}

impl Row for NodeRow {
    const NONE: &'static str = "there is no such node";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text("NAME", |row| row.name.clone()),
        Column::text("PHASE", |row| row.phase.clone()),
        Column::number("SHARDS", |row| row.there(format!("{}/{}", row.shards_serving, row.shards_owned))),
        Column::number("ACTIVATIONS", |row| row.there(row.activations)),
        Column::number("CALLS", |row| row.there(row.calls_total)),
        Column::number("COMMITS", |row| row.there(row.commits_total)),
        Column::number("UPTIME", |row| row.there(age(row.uptime()))),
        Column::wide(Column::text("GROUP", |row| group_or_dash(&row.group))),
        Column::wide(Column::number("PID", |row| row.there(row.pid))),
        Column::wide(Column::number("INCARNATION", |row| row.there(row.incarnation))),
        Column::wide(Column::text("VERSION", |row| row.there(&row.version))),
        Column::wide(Column::text("GATEWAY", |row| row.there(&row.gateway_address))),
        Column::wide(Column::text("ADMIN", |row| row.there(&row.admin_address))),
        Column::wide(Column::text("STORE", |row| row.there(&row.store))),
    ];
}

/// How tables show a group.
pub(super) fn group_or_dash(group: &str) -> String {
    if group.is_empty() { "-".into() } else { group.into() }
}

impl NodeRow {
    /// A node that should be there and is not.
    pub(crate) fn absent(name: &str) -> Self {
        Self { name: name.into(), phase: "Absent".into(), ..Self::default() }
    }

    /// How long the node has been up.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_millis(self.uptime_ms)
    }

    /// True if the node should be there and is not.
    pub(crate) fn is_absent(&self) -> bool {
        self.phase == "Absent"
    }

    fn there(&self, value: impl ToString) -> String {
        if self.is_absent() { "-".into() } else { value.to_string() }
    }
}

impl From<NodeStatus> for NodeRow {
    fn from(status: NodeStatus) -> Self {
        Self {
            name: status.name,
            cluster: status.cluster,
            phase: status.phase,
            group: status.group,
            pid: status.pid,
            version: status.version,
            store: status.store,
            incarnation: status.incarnation,
            shards_owned: status.shards_owned,
            shards_serving: status.shards_serving,
            activations: status.activations,
            activations_by_type: status.activations_by_type.into_iter().collect(),
            calls_total: status.calls_total,
            calls_failed_total: status.calls_failed_total,
            commits_total: status.commits_total,
            uptime_ms: status.uptime_ms,
            gateway_address: status.gateway_address,
            mesh_address: status.mesh_address,
            admin_address: status.admin_address,
            health_address: status.health_address,
        }
    }
}

pub(super) async fn run(args: Args) -> Result {
    let Args { node, common } = args;
    common.list(async |cluster| list(cluster, node).await).await
}

async fn list(cluster: &Cluster, node: Option<String>) -> Result<Vec<NodeRow>> {
    let present = cluster.statuses().await?.into_iter().map(NodeRow::from);
    let mut rows: Vec<_> = present.chain(cluster.absent().iter().map(|name| NodeRow::absent(name))).collect();
    rows.retain(|row| node.as_ref().is_none_or(|node| row.name == *node));
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rows)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::output::{ListFormat, render_list};

    pub(crate) fn status(i: u32) -> NodeStatus {
        NodeStatus {
            name: format!("demo-{i}"),
            cluster: "demo".into(),
            version: "0.1.0".into(),
            store: "0190".into(),
            incarnation: 3,
            phase: "Active".into(),
            shards_owned: 342,
            shards_serving: 341,
            activations: 12,
            calls_total: 1_000,
            calls_failed_total: 2,
            commits_total: 900,
            uptime_ms: 61_000,
            activations_by_type: [("Counter".to_owned(), 12)].into(),
            gateway_address: format!("127.0.0.1:{}", 4000 + i),
            mesh_address: format!("127.0.0.1:{}", 4100 + i),
            admin_address: format!("127.0.0.1:{}", 4200 + i),
            health_address: format!("127.0.0.1:{}", 4300 + i),
            pid: 100 + i,
            group: String::new(),
        }
    }

    #[test]
    fn absent_nodes_stand_in_the_same_table() {
        let rows = [NodeRow::from(status(0)), NodeRow::absent("demo-1")];
        insta::assert_snapshot!(render_list(&rows, ListFormat::Table).unwrap(), @r"
        NAME     PHASE     SHARDS   ACTIVATIONS   CALLS   COMMITS   UPTIME
        demo-0   Active   341/342            12    1000       900    1m01s
        demo-1   Absent         -             -       -         -        -
        ");
        insta::assert_snapshot!(render_list(&rows, ListFormat::Wide).unwrap(), @r"
        NAME     PHASE     SHARDS   ACTIVATIONS   CALLS   COMMITS   UPTIME   GROUP   PID   INCARNATION   VERSION   GATEWAY          ADMIN            STORE
        demo-0   Active   341/342            12    1000       900    1m01s   -       100             3   0.1.0     127.0.0.1:4000   127.0.0.1:4200   0190
        demo-1   Absent         -             -       -         -        -   -         -             -   -         -                -                -
        ");
    }

    #[test]
    fn json_has_every_field() {
        insta::assert_snapshot!(render_list(&[NodeRow::from(status(0))], ListFormat::Json).unwrap(), @r#"
        {
          "items": [
            {
              "name": "demo-0",
              "cluster": "demo",
              "phase": "Active",
              "pid": 100,
              "version": "0.1.0",
              "store": "0190",
              "incarnation": 3,
              "shardsOwned": 342,
              "shardsServing": 341,
              "activations": 12,
              "activationsByType": {
                "Counter": 12
              },
              "callsTotal": 1000,
              "callsFailedTotal": 2,
              "commitsTotal": 900,
              "uptimeMs": 61000,
              "gatewayAddress": "127.0.0.1:4000",
              "meshAddress": "127.0.0.1:4100",
              "adminAddress": "127.0.0.1:4200",
              "healthAddress": "127.0.0.1:4300"
            }
          ]
        }
        "#);
    }
}
