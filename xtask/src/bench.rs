//! `cargo xtask bench NAME`: measurements, always of an optimised build.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::workspace;

mod peers;

/// Measure: build the benchmarks optimised and run one of them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which benchmark, such as `basics`, `actors`, `scale` or `placements`.
    name: String,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the figures of `actors` into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Also build and measure other frameworks beside `actors`, those whose tools are on this machine.
    #[arg(long)]
    peers: bool,
    /// For the benchmark itself, such as `-- --only hot --rounds 3`.
    #[arg(last = true)]
    more: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    match args.name.as_str() {
        // In the package that it measures, whose tests have set up what it needs: a real API server. So the other
        // benchmarks build without Kubernetes.
        "placements" => {
            command.args(["bench", "--package", "greenroom-placement-api", "--bench", "placements", "--"])
        }
        name => command.args(["run", "--release", "--package", "greenroom-bench", "--", name]),
    };
    for (option, file) in [("--json", &args.json), ("--svg", &args.svg)] {
        if let Some(file) = file {
            // The command runs in the root of the workspace, the path was written where the user is.
            command.arg(option).arg(std::path::absolute(file)?);
        }
    }
    if args.peers {
        command.arg("--peers").arg(peers::build()?);
    }
    command.args(&args.more);
    workspace::run(&mut command)
}
