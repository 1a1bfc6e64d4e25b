//! `cargo xtask sim`: simulated histories of the runtime, from seeds.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace;

/// Simulate the runtime with faults; a seed that fails replays exactly.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What goes to the simulation, e.g. `--seeds 1000 --from 5000` or `--seed 7 --trace`; `--help` lists it all.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    command.args(["run", "--release", "--package", "greenroom-sim", "--"]).args(&args.arguments);
    workspace::run(&mut command)
}
