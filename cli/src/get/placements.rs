//! `greenroom get placements`: where every active actor is.

use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::{Cluster, PlacementFilter};
use crate::failure::Result;
use crate::output::{Column, Row, age};

/// List the actors that are in memory, and on which nodes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this actor, actors of this type, or the placement with this object name
    #[arg(value_name = "TYPE/KEY|TYPE|NAME")]
    what: Option<String>,
    /// Only actors of this type
    #[arg(long = "type", value_name = "TYPE")]
    actor_type: Option<String>,
    /// Only actors with this key
    #[arg(long)]
    key: Option<String>,
    /// Only actors on this node
    #[arg(long)]
    node: Option<String>,
    #[command(flatten)]
    common: super::Common,
}

/// One active actor.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacementRow {
    name: String,
    #[serde(rename = "type")]
    actor_type: String,
    key: String,
    pub(crate) node: String,
    shard: u32,
    epoch: u64,
    activated: Timestamp,
    mailbox: u32,
}

impl Row for PlacementRow {
    const NONE: &'static str =
        "no actor is active: an actor is in memory from its first call until it has been idle";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text("ACTOR", Self::actor),
        Column::text("NODE", |row| row.node.clone()),
        Column::number("SHARD", |row| row.shard.to_string()),
        Column::wide(Column::number("EPOCH", |row| row.epoch.to_string())),
        Column::number("MAILBOX", |row| row.mailbox.to_string()),
        Column::number("AGE", |row| {
            age(Timestamp::now().duration_since(row.activated).try_into().unwrap_or_default())
        }),
        Column::wide(Column::text("NAME", |row| row.name.clone())),
    ];
}

impl PlacementRow {
    /// `Counter/page-1`.
    pub(crate) fn actor(&self) -> String {
        format!("{}/{}", self.actor_type, self.key)
    }

    /// When it became active.
    pub(crate) fn activated(&self) -> Timestamp {
        self.activated
    }

    /// Calls waiting for a turn.
    pub(crate) fn mailbox(&self) -> u32 {
        self.mailbox
    }
}

impl From<greenroom_proto::v1::Placement> for PlacementRow {
    fn from(placement: greenroom_proto::v1::Placement) -> Self {
        Self {
            name: placement.name,
            actor_type: placement.r#type,
            key: placement.key,
            node: placement.node,
            shard: placement.shard,
            epoch: placement.epoch,
            activated: Timestamp::from_millisecond(placement.activated_unix_ms).unwrap_or_default(),
            mailbox: placement.mailbox,
        }
    }
}

pub(super) async fn run(args: Args) -> Result {
    let Args { what, actor_type, key, node, common } = args;
    let what = What::of(what);
    common.list(async |cluster| list(cluster, &what, node, PlacementFilter { actor_type, key }).await).await
}

async fn list(
    cluster: &Cluster,
    what: &What,
    node: Option<String>,
    mut filter: PlacementFilter,
) -> Result<Vec<PlacementRow>> {
    // The nodes send no more than is asked for.
    if let What::Type(actor_type) | What::Actor { actor_type, .. } = what {
        filter.actor_type.get_or_insert_with(|| actor_type.clone());
    }
    if let What::Actor { key, .. } = what {
        filter.key.get_or_insert_with(|| key.clone());
    }
    let mut rows: Vec<_> = cluster.placements(&filter).await?.into_iter().map(PlacementRow::from).collect();
    rows.retain(|row| what.matches(row));
    rows.retain(|row| node.as_ref().is_none_or(|node| row.node == *node));
    Ok(rows)
}

/// What the first argument means: a slash is in no type and in no object name, and a hyphen in every object name and in no
/// type.
#[derive(Debug, PartialEq, Eq)]
enum What {
    Everything,
    Actor { actor_type: String, key: String },
    Type(String),
    Named(String),
}

impl What {
    fn of(argument: Option<String>) -> Self {
        let Some(argument) = argument else { return Self::Everything };
        match argument.split_once('/') {
            Some((actor_type, key)) => Self::Actor { actor_type: actor_type.into(), key: key.into() },
            None if argument.contains('-') => Self::Named(argument),
            None => Self::Type(argument),
        }
    }

    fn matches(&self, row: &PlacementRow) -> bool {
        match self {
            Self::Everything => true,
            Self::Actor { actor_type, key } => row.actor_type == *actor_type && row.key == *key,
            Self::Type(actor_type) => row.actor_type == *actor_type,
            Self::Named(name) => row.name == *name,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::output::{ListFormat, render_list};

    pub(crate) fn placement(key: &str, shard: u32) -> PlacementRow {
        let placement = greenroom_proto::v1::Placement {
            name: format!("counter-{key}"),
            r#type: "Counter".into(),
            key: key.into(),
            node: "demo-1".into(),
            shard,
            epoch: 2,
            // In the future, so that the age is always 0.
            activated_unix_ms: 32_503_680_000_000,
            mailbox: 0,
        };
        placement.into()
    }

    fn rows() -> Vec<PlacementRow> {
        vec![placement("page-1", 7), placement("page-22", 1023)]
    }

    #[test]
    fn an_actor_a_type_and_an_object_name_are_told_apart() {
        let rows = rows();
        let found = |argument: &str| {
            let what = What::of(Some(argument.into()));
            rows.iter().filter(|row| what.matches(row)).map(|row| row.key.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(found("Counter/page-22"), ["page-22"]);
        assert_eq!(found("Counter"), ["page-1", "page-22"]);
        assert_eq!(found("counter-page-1"), ["page-1"]);
        assert!(found("KeyValue").is_empty() && found("Counter/page").is_empty());
    }

    #[test]
    fn the_table_is_for_people() {
        insta::assert_snapshot!(render_list(&rows(), ListFormat::Table).unwrap(), @r"
        ACTOR             NODE     SHARD   MAILBOX   AGE
        Counter/page-1    demo-1       7         0    0s
        Counter/page-22   demo-1    1023         0    0s
        ");
        insta::assert_snapshot!(render_list(&rows(), ListFormat::Wide).unwrap(), @r"
        ACTOR             NODE     SHARD   EPOCH   MAILBOX   AGE   NAME
        Counter/page-1    demo-1       7       2         0    0s   counter-page-1
        Counter/page-22   demo-1    1023       2         0    0s   counter-page-22
        ");
    }

    #[test]
    fn json_and_yaml_are_for_programs() {
        insta::assert_snapshot!(render_list(&rows()[..1], ListFormat::Json).unwrap(), @r#"
        {
          "items": [
            {
              "name": "counter-page-1",
              "type": "Counter",
              "key": "page-1",
              "node": "demo-1",
              "shard": 7,
              "epoch": 2,
              "activated": "3000-01-01T00:00:00Z",
              "mailbox": 0
            }
          ]
        }
        "#);
        insta::assert_snapshot!(render_list(&rows()[..1], ListFormat::Yaml).unwrap(), @r#"
        items:
        - name: counter-page-1
          type: Counter
          key: page-1
          node: demo-1
          shard: 7
          epoch: 2
          activated: "3000-01-01T00:00:00Z"
          mailbox: 0
        "#);
    }
}
