//! `greenroom deadletter`: sends a message again that nobody took, or deletes it.

use clap::Subcommand;

use crate::cluster::Cluster;
use crate::failure::Result;
use crate::output;
use crate::target::TargetArgs;

/// Send dead letters again, or delete them
///
/// `greenroom get deadletters` lists them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Send a message again that was sent reliably and given up
    ///
    /// It goes behind everything that its sender has sent, with the call id that it had: if it was applied after all,
    /// nothing happens.
    Resend(One),
    /// Delete a dead letter
    Delete(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// The dead letter's id
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn run(args: Args) -> Result {
    let (again, one) = match args.what {
        What::Resend(one) => (true, one),
        What::Delete(one) => (false, one),
    };
    let cluster = Cluster::of(one.target.choose().await?).await?;
    cluster.change_dead_letter(&one.id, again).await?;
    output::print(&format!("{} {}", one.id, if again { "is sent again" } else { "is deleted" }))
}
