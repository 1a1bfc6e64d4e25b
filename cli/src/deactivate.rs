//! `greenroom deactivate`.

use greenroom_core::ActorId;

use crate::cluster::Cluster;
use crate::failure::Result;
use crate::output;
use crate::target::TargetArgs;

/// Take an actor out of memory
///
/// It leaves when the calls that run or wait are done; the next call activates it again, with the state that was
/// committed. The state of a volatile actor is gone. An actor that is parked after panics takes calls again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The actor
    #[arg(value_name = "TYPE/KEY")]
    actor: ActorId,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn run(args: Args) -> Result {
    let cluster = Cluster::of(args.target.choose().await?).await?;
    let nodes =
        output::with_spinner("waiting for the actor to leave", cluster.deactivate(&args.actor)).await?;
    let actor = &args.actor;
    match nodes.is_empty() {
        true => output::print(&format!("{actor} was in memory nowhere")),
        false => output::print(&format!("{actor} has left {}", nodes.join(", "))),
    }
}
