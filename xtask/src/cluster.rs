//! `cargo xtask cluster`: a Kubernetes on this machine.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace;

/// Start, break and end a Kubernetes on this machine.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What goes to the program, e.g. `up`, `node kill node2`, `down`; `--help` lists it all.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

/// Runs the program of the crate `e2e/cluster`, which is not linked to this one: most chores need no Kubernetes.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--package", "greenroom-e2e-cluster", "--"]).args(&args.arguments);
    workspace::run(&mut command)
}
