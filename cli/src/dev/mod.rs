//! `greenroom dev`: an ActorCluster on this machine, with real nodes, a real mesh and real stores, and no Kubernetes.
//!
//! This process serves the shard map, runs each node as a process of its own, starts dead nodes again and shows what
//! happens; `endpoints.json` tells other terminals where everything is. When this process ends, so do its nodes.

mod child;
mod cluster;
mod control;
pub(crate) mod endpoints;
mod event;
mod lock;
mod logs;
mod map;
mod monitor;
mod plan;
mod problems;
mod program;
mod progress;
mod run;
mod show;
mod snapshot;
mod supervisor;
mod view;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Subcommand;
use greenroom::config::StorageEngine;

use self::cluster::DevCluster;
use self::control::Request;
use self::plan::Plan;
use self::program::ProgramArgs;
use crate::failure::Result;
use crate::output;
use crate::signals::Quit;
use crate::target::{DATA_DIR, DevTargetArgs};

/// Run a cluster on this machine, or stop and start its nodes
///
/// Reads the same ActorCluster YAML as Kubernetes does and runs it with real nodes, one process each. The state stays in
/// the data directory: started again, the cluster goes on where it was.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The YAML file with the ActorCluster
    #[arg(required = true, value_name = "CLUSTER.yaml")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    program: ProgramArgs,
    /// Where the clusters' state is kept, each in a directory of its name
    #[arg(long, env = "GREENROOM_DATA", default_value = DATA_DIR, value_name = "DIR")]
    data: PathBuf,
    /// Run the nodes inside this process, without processes of their own; for tests
    #[arg(long, conflicts_with_all = ["bin", "package"])]
    in_process: bool,
    /// Print a line for each thing that happens, also in a terminal
    #[arg(long)]
    plain: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stop a node; it stays stopped until it is started
    Stop(NodeArgs),
    /// Start a node that was stopped
    Start(NodeArgs),
}

#[derive(Debug, clap::Args)]
struct NodeArgs {
    /// The node's name
    node: String,
    #[command(flatten)]
    target: DevTargetArgs,
}

pub(crate) async fn run(args: Args) -> Result {
    match (args.command, args.manifest) {
        (Some(Command::Stop(args)), _) => order(args, Request::Stop, "has stopped").await,
        (Some(Command::Start(args)), _) => order(args, Request::Start, "is starting").await,
        (None, Some(manifest)) => {
            let plan = Plan::read(&manifest)?;
            if plan.engine == StorageEngine::Memory {
                output::warn(
                    "the engine is memory: a node that ends takes its shards with it until `dev` starts anew",
                );
            }
            let program = match args.in_process {
                true => None,
                false => Some(args.program.choose(plan.dev_command.as_deref(), &manifest)?),
            };
            let mut quit = Quit::listen()?;
            let (cluster, mut events) = DevCluster::start(&plan, program.as_ref(), &args.data).await?;
            let plain = args.plain || !std::io::stdout().is_terminal();
            let shown = match plain {
                true => show::plain(&cluster, &mut events, &mut quit).await,
                false => show::live(&cluster, &mut events, &mut quit).await,
            };
            show::stopping(cluster, &mut events, &mut quit, plain).await;
            shown
        }
        (None, None) => unreachable!("clap asks for the file"),
    }
}

async fn order(args: NodeArgs, request: fn(String) -> Request, done: &str) -> Result {
    let endpoints = args.target.choose()?.endpoints;
    output::with_spinner(
        "waiting for the node",
        control::ask(&endpoints.control, &request(args.node.clone())),
    )
    .await?;
    output::print(&format!("{} {done}", args.node))
}
