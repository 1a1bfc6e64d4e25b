//! `greenroom describe`: everything about one thing. What people read of it is made in [`text`].

mod text;

use clap::Subcommand;
use greenroom_core::ActorId;
use serde::Serialize;

use crate::cluster::{Cluster, PlacementFilter};
use crate::failure::{Failure, Result};
use crate::get::{NodeRow, PlacementRow, ShardRow, TypeRow, merged_shards, merged_types};
use crate::output::{self, DataFormat};
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
            common.show(async |cluster| node(cluster, &name).await, text::node).await
        }
        What::Actor { actor, common } => {
            common.show(async |cluster| describe_actor(cluster, &actor).await, text::actor).await
        }
        What::Shard { number, common } => {
            common.show(async |cluster| describe_shard(cluster, number).await, text::shard).await
        }
        What::Type { name, common } => {
            common.show(async |cluster| describe_type(cluster, &name).await, text::actor_type).await
        }
    }
}

impl Common {
    async fn show<T: Serialize>(
        &self,
        ask: impl AsyncFnOnce(&Cluster) -> Result<T>,
        text: fn(&T) -> String,
    ) -> Result {
        let cluster = Cluster::of(self.target.choose().await?).await?;
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
    let actor_type = describe_type(cluster, name).await?;
    let methods = actor_type.methods.iter().map(|m| m.signature()).collect();
    let number = actor_type.home.map(|home| u32::from(actor.shard(home).0));
    let shard = merged_shards(&cluster.shards().await?).into_iter().find(|row| Some(row.shard) == number);
    let filter = PlacementFilter { actor_type: Some(name.into()), key: Some(actor.key.to_string()) };
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
