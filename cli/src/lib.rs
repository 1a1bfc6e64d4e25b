//! `greenroom`, the command line: a file per command, whose doc comments are the help.
//!
//! Commands find the cluster that they talk to in [`target`], ask its nodes through [`cluster`], show what they learn
//! through [`output`] and fail with a [`failure::Failure`], which says what to do next. What is behind a kubeconfig is
//! in [`kubernetes`].

mod call;
mod called_as;
mod cluster;
mod completions;
mod deactivate;
mod deadletter;
mod describe;
mod dev;
mod failure;
mod get;
mod kubernetes;
mod node;
mod output;
mod proxy;
mod reference;
mod screen;
mod signals;
mod target;
mod top;
mod version;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use reference::cli_reference_markdown;

use called_as::CalledAs;

/// Virtual actors on Kubernetes, and without it
///
/// `greenroom dev CLUSTER.yaml` runs a cluster on this machine. In a second terminal, `greenroom call` calls an actor
/// and `greenroom get placements` shows where it is. The same commands work on a cluster in Kubernetes: as
/// `kubectl greenroom`, or with the options of kubectl.
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
    Top(top::Args),
    Deactivate(deactivate::Args),
    Deadletter(deadletter::Args),
    Proxy(proxy::Args),
    /// Run one stock node, which serves `Counter` and `KeyValue`
    Node(greenroom::config::NodeArgs),
    Version(version::Args),
    Completions(completions::Args),
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let called_as = CalledAs::now();
    if called_as == CalledAs::KubectlCompletion {
        return completions::for_kubectl();
    }
    let matches = called_as.command(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
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
            Self::Top(args) => top::run(args).await,
            Self::Deactivate(args) => deactivate::run(args).await,
            Self::Deadletter(args) => deadletter::run(args).await,
            Self::Proxy(args) => proxy::run(args).await,
            Self::Node(args) => node::run(args).await,
            Self::Version(args) => version::run(&args),
            Self::Completions(args) => completions::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
