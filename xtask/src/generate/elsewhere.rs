//! `cargo xtask generate` in an `xtask` that was built without its generators. What they need takes longer to compile than
//! all the rest of it, so `cargo xtask` leaves them out, and this chore builds the program that has them.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace;

/// Write the generated files: Rust code from the .proto files, the charts' CRDs and values,
/// the reference of the custom resources.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail and name the files that are stale.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--quiet", "--package", "xtask", "--", "generate"]);
    workspace::run(cargo.args(args.check.then_some("--check")))
}
