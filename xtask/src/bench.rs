//! `cargo xtask bench NAME`: measurements, always of an optimised build.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::workspace;

/// Measure: build the benchmarks optimised and run one of them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which benchmark, such as `basics`.
    name: String,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    command.args(["run", "--release", "--package", "greenroom-bench", "--", &args.name]);
    if let Some(file) = &args.json {
        // The command runs in the root of the workspace, the path was written where the user is.
        command.arg("--json").arg(std::path::absolute(file)?);
    }
    workspace::run(&mut command)
}
