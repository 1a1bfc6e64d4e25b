//! `greenroom get types`: the actor types that the nodes serve.

use std::collections::BTreeMap;

use greenroom_core::{Shard, ShardCount, ShardRange};
use greenroom_proto::v1::{MethodStatus, NodeStatus, TypeStatus};
use serde::Serialize;

use super::nodes::group_or_dash;
use crate::failure::Result;
use crate::output::{Column, Row};

/// List the actor types with their methods
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this type
    #[arg(value_name = "NAME")]
    actor_type: Option<String>,
    #[command(flatten)]
    common: super::Common,
}

/// One actor type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TypeRow {
    pub(crate) name: String,
    pub(crate) durability: String,
    /// The group that its actors live on; empty: the general nodes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) group: String,
    /// The shards that its actors are in, as far as its nodes tell.
    #[serde(skip)]
    pub(crate) home: Option<ShardRange>,
    pub(crate) activations: u64,
    pub(crate) methods: Vec<MethodRow>,
    /// How many are active on each node that serves the type.
    pub(crate) nodes: BTreeMap<String, u64>,
}

/// One method of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MethodRow {
    pub(crate) name: String,
    pub(crate) access: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) durability: String,
    pub(crate) arguments: Vec<String>,
}

impl MethodRow {
    /// `add(by)`.
    pub(crate) fn signature(&self) -> String {
        format!("{}({})", self.name, self.arguments.join(", "))
    }
}

impl Row for TypeRow {
    const NONE: &'static str = "there is no such type; types are registered by the node program";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text("NAME", |row| row.name.clone()),
        Column::text("DURABILITY", |row| row.durability.clone()),
        Column::number("ACTIVATIONS", |row| row.activations.to_string()),
        Column::number("NODES", |row| row.nodes.len().to_string()),
        Column::wide(Column::text("GROUP", |row| group_or_dash(&row.group))),
        Column::text("METHODS", |row| {
            row.methods.iter().map(MethodRow::signature).collect::<Vec<_>>().join(" ")
        }),
    ];
}

impl From<&MethodStatus> for MethodRow {
    fn from(method: &MethodStatus) -> Self {
        let MethodStatus { name, access, durability, arguments, .. } = method.clone();
        Self { name, access, durability, arguments }
    }
}

fn home(served: &TypeStatus) -> Option<ShardRange> {
    let first = Shard(served.first_shard.try_into().ok()?);
    ShardRange::new(first, ShardCount::new(served.shard_count.try_into().ok()?)?)
}

/// Every type that any node serves, with the activations of all nodes.
pub(crate) fn merged_types(answers: &[(NodeStatus, Vec<TypeStatus>)]) -> Vec<TypeRow> {
    let mut rows: BTreeMap<&str, TypeRow> = BTreeMap::new();
    for (node, served) in answers.iter().flat_map(|(node, types)| types.iter().map(move |ty| (node, ty))) {
        let row = rows.entry(&served.name).or_insert_with(|| TypeRow {
            name: served.name.clone(),
            durability: served.durability.clone(),
            group: served.group.clone(),
            home: home(served),
            activations: 0,
            methods: served.methods.iter().map(MethodRow::from).collect(),
            nodes: BTreeMap::new(),
        });
        row.activations += served.activations;
        row.nodes.insert(node.name.clone(), served.activations);
    }
    rows.into_values().collect()
}

pub(super) async fn run(args: Args) -> Result {
    let Args { actor_type, common } = args;
    common
        .list(async |cluster| {
            let mut rows = merged_types(&cluster.types().await?);
            rows.retain(|row| actor_type.as_ref().is_none_or(|name| row.name == *name));
            Ok(rows)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{ListFormat, render_list};

    #[test]
    fn activations_are_added_up_over_the_nodes() {
        let method = |name: &str, access: &str, arguments: &[&str]| MethodStatus {
            name: name.into(),
            access: access.into(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            ..MethodStatus::default()
        };
        let counter = |activations| TypeStatus {
            name: "Counter".into(),
            durability: "durable".into(),
            methods: vec![method("add", "exclusive", &["by"]), method("total", "concurrent", &[])],
            activations,
            ..TypeStatus::default()
        };
        let node = super::super::nodes::tests::status;
        let rows = merged_types(&[(node(0), vec![counter(2)]), (node(1), vec![counter(3)])]);
        insta::assert_snapshot!(render_list(&rows, ListFormat::Table).unwrap(), @r"
        NAME      DURABILITY   ACTIVATIONS   NODES   METHODS
        Counter   durable                5       2   add(by) total()
        ");
        insta::assert_snapshot!(render_list(&rows, ListFormat::Yaml).unwrap(), @r"
        items:
        - name: Counter
          durability: durable
          activations: 5
          methods:
          - name: add
            access: exclusive
            arguments:
            - by
          - name: total
            access: concurrent
            arguments: []
          nodes:
            demo-0: 2
            demo-1: 3
        ");
    }
}
