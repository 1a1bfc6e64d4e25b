//! `greenroom get shards`: the shard map, and who really serves.

use std::collections::BTreeMap;

use greenroom_proto::v1::{NodeStatus, ShardsReply};
use serde::Serialize;

use crate::failure::Result;
use crate::output::{Column, Row};

/// List the shards with their owners
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this shard
    #[arg(value_name = "NUMBER")]
    shard: Option<u32>,
    /// Only shards that this node owns
    #[arg(long)]
    node: Option<String>,
    #[command(flatten)]
    common: super::Common,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShardRow {
    pub(crate) shard: u32,
    pub(crate) epoch: u64,
    pub(crate) owner: String,
    pub(crate) owner_store: String,
    pub(crate) owner_incarnation: u64,
    pub(crate) in_sync: Vec<String>,
    /// The nodes that say they serve it; one if all is well.
    pub(crate) served_by: Vec<String>,
}

impl Row for ShardRow {
    const NONE: &'static str =
        "there is no such shard; a cluster gets its shard map once all nodes have registered";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::number("SHARD", |row| row.shard.to_string()),
        Column::number("EPOCH", |row| row.epoch.to_string()),
        Column::text("OWNER", |row| row.owner.clone()),
        Column::text("SERVED BY", |row| {
            if row.served_by.is_empty() { "-".into() } else { row.served_by.join(",") }
        }),
        Column::wide(Column::number("INCARNATION", |row| row.owner_incarnation.to_string())),
        Column::wide(Column::number("COPIES", |row| row.in_sync.len().to_string())),
        Column::wide(Column::text("STORE", |row| row.owner_store.clone())),
    ];
}

/// The newest entry of every shard that any node knows, and which nodes serve it.
pub(crate) fn merged_shards(answers: &[(NodeStatus, ShardsReply)]) -> Vec<ShardRow> {
    let mut rows: BTreeMap<u32, ShardRow> = BTreeMap::new();
    for known in answers.iter().flat_map(|(_, reply)| &reply.shards) {
        if rows.get(&known.shard).is_none_or(|row| row.epoch < known.epoch) {
            let row = ShardRow {
                shard: known.shard,
                epoch: known.epoch,
                owner: known.owner_node.clone(),
                owner_store: known.owner_store.clone(),
                owner_incarnation: known.owner_incarnation,
                in_sync: known.in_sync.clone(),
                served_by: Vec::new(),
            };
            rows.insert(known.shard, row);
        }
    }
    for (node, reply) in answers {
        for serving in reply.shards.iter().filter(|shard| shard.serving_here) {
            if let Some(row) = rows.get_mut(&serving.shard) {
                row.served_by.push(node.name.clone());
            }
        }
    }
    rows.into_values().collect()
}

pub(super) async fn run(args: Args) -> Result {
    let Args { shard, node, common } = args;
    common
        .list(async |cluster| {
            let mut rows = merged_shards(&cluster.shards().await?);
            rows.retain(|row| shard.is_none_or(|shard| row.shard == shard));
            rows.retain(|row| node.as_ref().is_none_or(|node| row.owner == *node));
            Ok(rows)
        })
        .await
}

#[cfg(test)]
mod tests {
    use greenroom_proto::v1::ShardStatus;

    use super::*;
    use crate::output::{ListFormat, render_list};

    fn answer(node: u32, entries: &[(u32, u64, &str, bool)]) -> (NodeStatus, ShardsReply) {
        let shards = entries
            .iter()
            .map(|&(shard, epoch, owner, serving_here)| ShardStatus {
                shard,
                epoch,
                owner_store: format!("store-of-{owner}"),
                owner_node: owner.into(),
                owner_incarnation: 1,
                in_sync: vec![format!("store-of-{owner}")],
                serving_here,
            })
            .collect();
        (
            super::super::nodes::tests::status(node),
            ShardsReply { shard_count: 2, shards, members: Vec::new() },
        )
    }

    #[test]
    fn the_newest_entry_counts_and_every_node_that_serves_is_named() {
        let answers = [
            answer(0, &[(0, 1, "demo-0", true), (1, 1, "demo-0", true)]),
            answer(1, &[(0, 2, "demo-1", true), (1, 1, "demo-0", false)]),
        ];
        let rows = merged_shards(&answers);
        insta::assert_snapshot!(render_list(&rows, ListFormat::Wide).unwrap(), @r"
        SHARD   EPOCH   OWNER    SERVED BY       INCARNATION   COPIES   STORE
            0       2   demo-1   demo-0,demo-1             1        1   store-of-demo-1
            1       1   demo-0   demo-0                    1        1   store-of-demo-0
        ");
        insta::assert_snapshot!(render_list(&rows[..1], ListFormat::Json).unwrap(), @r#"
        {
          "items": [
            {
              "shard": 0,
              "epoch": 2,
              "owner": "demo-1",
              "ownerStore": "store-of-demo-1",
              "ownerIncarnation": 1,
              "inSync": [
                "store-of-demo-1"
              ],
              "servedBy": [
                "demo-0",
                "demo-1"
              ]
            }
          ]
        }
        "#);
    }
}
