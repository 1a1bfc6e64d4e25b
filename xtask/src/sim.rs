//! `cargo xtask sim`: simulated histories of the runtime, from seeds.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace;

/// Simulate the runtime with faults; a seed that fails replays exactly.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed, or the only one when `--seeds` is not given.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    command.args(["run", "--release", "--package", "greenroom-sim", "--"]);
    for (flag, value) in [("--seeds", args.seeds), ("--seed", args.seed)] {
        if let Some(value) = value {
            command.args([flag, &value.to_string()]);
        }
    }
    workspace::run(&mut command)
}
