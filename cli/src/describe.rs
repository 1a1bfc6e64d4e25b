//! `greenroom describe`: everything about one thing.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Subcommand;
use greenroom_core::{ActorId, ShardCount};
use serde::Serialize;

use crate::cluster::{Cluster, PlacementFilter};
use crate::failure::{Failure, Result};
use crate::get::{NodeRow, PlacementRow, ShardRow, TypeRow, merged_shards, merged_types};
use crate::output::{self, DataFormat, age};
use crate::target::TargetArgs;

/// Show everything about one node, actor, shard or type
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What a node is and does
    Node {
        /// The node's name
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Where an actor is, or would be
    Actor {
        /// The actor
        #[arg(value_name = "TYPE/KEY")]
        actor: ActorId,
        #[command(flatten)]
        common: Common,
    },
    /// Who owns a shard, and which actors are active in it
    Shard {
        /// The shard's number
        number: u32,
        #[command(flatten)]
        common: Common,
    },
    /// A type's methods, and how many of its actors are active where
    Type {
        /// The type's name
        name: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Print data instead of text
    #[arg(short, long, value_enum)]
    output: Option<DataFormat>,
    #[command(flatten)]
    target: TargetArgs,
}

/// An actor, active or not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ActorDescription {
    actor: String,
    shard: ShardRow,
    /// `None`: the next call makes it active.
    placement: Option<PlacementRow>,
    methods: Vec<String>,
}

/// A shard with the actors in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShardDescription {
    #[serde(flatten)]
    shard: ShardRow,
    placements: Vec<PlacementRow>,
}

pub(crate) async fn run(args: Args) -> Result {
    match args.what {
        What::Node { name, common } => {
            common.show(async |cluster| node(cluster, &name).await, node_text).await
        }
        What::Actor { actor, common } => {
            common.show(async |cluster| describe_actor(cluster, &actor).await, actor_text).await
        }
        What::Shard { number, common } => {
            common.show(async |cluster| describe_shard(cluster, number).await, shard_text).await
        }
        What::Type { name, common } => {
            common.show(async |cluster| describe_type(cluster, &name).await, type_text).await
        }
    }
}

impl Common {
    async fn show<T: Serialize>(
        &self,
        ask: impl AsyncFnOnce(&Cluster) -> Result<T>,
        text: fn(&T) -> String,
    ) -> Result {
        let cluster = Cluster::of(&self.target.choose()?)?;
        let found = output::with_spinner("asking the nodes", ask(&cluster)).await?;
        match self.output {
            Some(format) => output::print_data(&found, format),
            None => output::print(&text(&found)),
        }
    }
}

async fn node(cluster: &Cluster, name: &str) -> Result<NodeRow> {
    if cluster.absent().iter().any(|absent| absent == name) {
        return Ok(NodeRow::absent(name));
    }
    let nodes = cluster.statuses().await?;
    let found = nodes.into_iter().find(|node| node.name == name);
    found.map(NodeRow::from).ok_or_else(|| nothing("node", name, "`greenroom get nodes` lists them"))
}

async fn describe_actor(cluster: &Cluster, actor: &ActorId) -> Result<ActorDescription> {
    let name = actor.actor_type.as_str();
    let methods = describe_type(cluster, name).await?.methods.iter().map(|m| m.signature()).collect();
    let answers = cluster.shards().await?;
    let count = answers.iter().map(|(_, reply)| reply.shard_count).max().unwrap_or_default();
    let count = u16::try_from(count).ok().and_then(ShardCount::new);
    let number = count.map(|count| u32::from(actor.shard(count).0));
    let shard = merged_shards(&answers).into_iter().find(|row| Some(row.shard) == number);
    let filter = PlacementFilter { actor_type: Some(name.into()), key: Some(actor.key.as_ref().into()) };
    Ok(ActorDescription {
        actor: actor.to_string(),
        shard: shard.ok_or_else(no_map)?,
        placement: cluster.placements(&filter).await?.pop().map(PlacementRow::from),
        methods,
    })
}

async fn describe_shard(cluster: &Cluster, number: u32) -> Result<ShardDescription> {
    let rows = merged_shards(&cluster.shards().await?);
    let last = rows.last().ok_or_else(no_map)?.shard;
    let shard = rows.into_iter().find(|row| row.shard == number);
    let shard = shard.ok_or_else(|| nothing("shard", number, &format!("shards are 0 to {last}")))?;
    let mut placements = cluster.placements(&PlacementFilter::default()).await?;
    placements.retain(|placement| placement.shard == number);
    Ok(ShardDescription { shard, placements: placements.into_iter().map(PlacementRow::from).collect() })
}

async fn describe_type(cluster: &Cluster, name: &str) -> Result<TypeRow> {
    let found = merged_types(&cluster.types().await?).into_iter().find(|row| row.name == name);
    found.ok_or_else(|| nothing("actor type", name, "`greenroom get types` lists them"))
}

fn nothing(what: &str, name: impl std::fmt::Display, hint: &str) -> Failure {
    Failure::new(format!("there is no {what} {name}")).hint(hint)
}

fn no_map() -> Failure {
    Failure::new("the cluster has no shard map yet")
        .hint("it gets one as soon as all nodes have registered; try again")
}

/// Lines of a title and a value, the values below each other.
fn lines(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(title, _)| title.len()).max().unwrap_or_default() + 3;
    fields.iter().map(|(title, value)| format!("{:width$}{value}\n", format!("{title}:"))).collect()
}

/// A title with indented lines below, or nothing if there are no lines.
fn block(text: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        writeln!(text, "{title}:").expect("a string takes everything");
        lines.for_each(|line| writeln!(text, "  {line}").expect("a string takes everything"));
    }
}

/// A line for each that is not zero.
fn counts(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = String> {
    counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| format!("{name}: {count}"))
}

fn node_text(node: &NodeRow) -> String {
    let mut text = lines(&[("Name", node.name.clone()), ("Phase", node.phase.clone())]);
    if node.is_absent() {
        return text;
    }
    text = lines(&[
        ("Name", node.name.clone()),
        ("Cluster", node.cluster.clone()),
        ("Phase", node.phase.clone()),
        ("Process", format!("{}, up {}, version {}", node.pid, age(node.uptime()), node.version)),
        ("Store", format!("{}, incarnation {}", node.store, node.incarnation)),
        ("Shards", format!("{} owned, {} serving", node.shards_owned, node.shards_serving)),
        ("Calls", format!("{}, {} failed", node.calls_total, node.calls_failed_total)),
        ("Commits", node.commits_total.to_string()),
        ("Gateway", node.gateway_address.clone()),
        ("Mesh", node.mesh_address.clone()),
        ("Admin", node.admin_address.clone()),
        ("Health", node.health_address.clone()),
        ("Activations", node.activations.to_string()),
    ]);
    block(&mut text, "Activations by type", counts(&node.activations_by_type));
    text
}

fn actor_text(actor: &ActorDescription) -> String {
    let state = match &actor.placement {
        Some(placement) => format!(
            "active on {} since {}, {} calls waiting",
            placement.node,
            placement.activated(),
            placement.mailbox()
        ),
        None => "not in memory; the next call activates it".to_owned(),
    };
    let mut text = lines(&[
        ("Actor", actor.actor.clone()),
        ("State", state),
        ("Shard", format!("{} at epoch {}", actor.shard.shard, actor.shard.epoch)),
        ("Owner", actor.shard.owner.clone()),
    ]);
    block(&mut text, "Methods", actor.methods.iter().cloned());
    text
}

fn shard_text(description: &ShardDescription) -> String {
    let shard = &description.shard;
    let mut text = lines(&[
        ("Shard", shard.shard.to_string()),
        ("Epoch", shard.epoch.to_string()),
        ("Owner", format!("{}, incarnation {}", shard.owner, shard.owner_incarnation)),
        ("Store", shard.owner_store.clone()),
        ("In sync", shard.in_sync.join(", ")),
        ("Served by", if shard.served_by.is_empty() { "nobody".into() } else { shard.served_by.join(", ") }),
    ]);
    block(&mut text, "Active actors", description.placements.iter().map(PlacementRow::actor));
    text
}

fn type_text(row: &TypeRow) -> String {
    let mut text = lines(&[
        ("Type", row.name.clone()),
        ("Durability", row.durability.clone()),
        ("Activations", row.activations.to_string()),
    ]);
    block(&mut text, "Methods", row.methods.iter().map(|m| format!("{}  {}", m.signature(), m.access)));
    block(&mut text, "Active on", counts(&row.nodes));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get::tests::{placement, status};

    fn shard() -> ShardRow {
        ShardRow {
            shard: 7,
            epoch: 2,
            owner: "demo-1".into(),
            owner_store: "store-1".into(),
            owner_incarnation: 3,
            in_sync: vec!["store-1".into()],
            served_by: Vec::new(),
        }
    }

    #[test]
    fn a_node_is_described_whether_it_is_there_or_not() {
        insta::assert_snapshot!(node_text(&NodeRow::from(status(0))), @r"
        Name:         demo-0
        Cluster:      demo
        Phase:        Active
        Process:      100, up 1m01s, version 0.1.0
        Store:        0190, incarnation 3
        Shards:       342 owned, 341 serving
        Calls:        1000, 2 failed
        Commits:      900
        Gateway:      127.0.0.1:4000
        Mesh:         127.0.0.1:4100
        Admin:        127.0.0.1:4200
        Health:       127.0.0.1:4300
        Activations:  12
        Activations by type:
          Counter: 12
        ");
        insta::assert_snapshot!(node_text(&NodeRow::absent("demo-1")), @r"
        Name:   demo-1
        Phase:  Absent
        ");
    }

    #[test]
    fn an_actor_is_described_whether_it_is_active_or_not() {
        let mut actor = ActorDescription {
            actor: "Counter/page-1".into(),
            shard: shard(),
            placement: Some(placement("page-1", 7)),
            methods: vec!["add(by)".into()],
        };
        insta::assert_snapshot!(actor_text(&actor), @r"
        Actor:  Counter/page-1
        State:  active on demo-1 since 3000-01-01T00:00:00Z, 0 calls waiting
        Shard:  7 at epoch 2
        Owner:  demo-1
        Methods:
          add(by)
        ");
        actor.placement = None;
        insta::assert_snapshot!(actor_text(&actor), @r"
        Actor:  Counter/page-1
        State:  not in memory; the next call activates it
        Shard:  7 at epoch 2
        Owner:  demo-1
        Methods:
          add(by)
        ");
    }

    #[test]
    fn a_shard_is_described_with_its_actors() {
        let description = ShardDescription { shard: shard(), placements: vec![placement("page-1", 7)] };
        insta::assert_snapshot!(shard_text(&description), @r"
        Shard:      7
        Epoch:      2
        Owner:      demo-1, incarnation 3
        Store:      store-1
        In sync:    store-1
        Served by:  nobody
        Active actors:
          Counter/page-1
        ");
    }
}
