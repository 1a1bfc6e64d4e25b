//! `greenroom get`: lists of what is in a cluster, a file per kind of thing.

mod clusters;
mod deadletters;
mod nodes;
mod placements;
mod shards;
mod types;

pub(crate) use nodes::NodeRow;
pub(crate) use placements::PlacementRow;
pub(crate) use shards::{ShardRow, merged_shards};
pub(crate) use types::{MethodRow, TypeRow, merged_types};

use clap::Subcommand;

use crate::cluster::Cluster;
use crate::failure::Result;
use crate::output::{self, ListFormat};
use crate::target::TargetArgs;

/// List placements, nodes, shards, types, clusters or dead letters
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(visible_alias = "placement")]
    Placements(placements::Args),
    #[command(visible_alias = "node")]
    Nodes(nodes::Args),
    #[command(visible_alias = "shard")]
    Shards(shards::Args),
    #[command(visible_alias = "type")]
    Types(types::Args),
    #[command(visible_alias = "cluster")]
    Clusters(clusters::Args),
    #[command(visible_alias = "deadletter")]
    Deadletters(deadletters::Args),
}

/// What every list takes.
#[derive(Debug, clap::Args)]
struct Common {
    /// The form of the list
    #[arg(short, long, value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn run(args: Args) -> Result {
    match args.what {
        What::Placements(args) => placements::run(args).await,
        What::Nodes(args) => nodes::run(args).await,
        What::Shards(args) => shards::run(args).await,
        What::Types(args) => types::run(args).await,
        What::Clusters(args) => clusters::run(args).await,
        What::Deadletters(args) => deadletters::run(args).await,
    }
}

impl Common {
    /// Finds the cluster, asks it and prints the rows that it has.
    async fn list<R: output::Row>(&self, ask: impl AsyncFnOnce(&Cluster) -> Result<Vec<R>>) -> Result {
        let cluster = Cluster::of(self.target.choose().await?).await?;
        let rows = output::with_spinner("asking the nodes", ask(&cluster)).await?;
        output::print_list(&rows, self.output)
    }
}

/// Things to show, for the tests of other modules.
#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::nodes::tests::status;
    pub(crate) use super::placements::tests::placement;
}
