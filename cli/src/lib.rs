//! `greenroom`, the command line: a file per command, whose doc comments are the help.
//!
//! Commands find the cluster that they talk to in [`target`], ask its nodes through [`cluster`], show what they learn
//! through [`output`] and fail with a [`failure::Failure`], which says what to do next.

mod call;
mod cluster;
mod completions;
mod describe;
mod dev;
mod failure;
mod get;
mod node;
mod output;
mod reference;
mod target;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use reference::cli_reference_markdown;

/// Virtual actors on Kubernetes, and without it
///
/// `greenroom dev CLUSTER.yaml` runs a cluster on this machine. In a second terminal, `greenroom call` calls an actor
/// and `greenroom get placements` shows where it is.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, propagate_version = false, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Args),
    Call(call::Args),
    Get(get::Args),
    Describe(describe::Args),
    /// Run one stock node, which serves `Counter` and `KeyValue`
    Node(greenroom::config::NodeArgs),
    Version(version::Args),
    Completions(completions::Args),
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            failure::Failure::new(format!("cannot start the async runtime: {error}")).print();
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::FAILURE
        }
    }
}

impl Command {
    async fn run(self) -> failure::Result {
        match self {
            Self::Dev(args) => dev::run(args).await,
            Self::Call(args) => call::run(args).await,
            Self::Get(args) => get::run(args).await,
            Self::Describe(args) => describe::run(args).await,
            Self::Node(args) => node::run(args).await,
            Self::Version(args) => version::run(&args),
            Self::Completions(args) => completions::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
