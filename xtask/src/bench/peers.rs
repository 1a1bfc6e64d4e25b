//! Builds the rigs of other frameworks, from `bench/peers`: with their own tools, their dependencies from their own
//! registries, all of it outside of the workspace.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Builds all for whose language there is a tool; returns the directory with their programs.
pub(super) fn build() -> Result<PathBuf> {
    let root = workspace::root();
    let (sources, programs) = (root.join("bench/peers"), root.join("target/peers"));
    std::fs::create_dir_all(&programs)?;

    let mut cargo = workspace::cargo();
    cargo.args(["build", "--release", "--locked", "--manifest-path"]).arg(sources.join("Cargo.toml"));
    run("frameworks for Rust", cargo.arg("--target-dir").arg(&programs))?;

    let mut go = workspace::command("go");
    go.current_dir(sources.join("protoactor")).args(["build", "-o"]);
    run("protoactor-go", go.arg(programs.join("protoactor")).arg("."))?;

    let mut maven = workspace::command("mvn");
    maven.args(["--quiet", "--batch-mode", "prepare-package", "--file"]).arg(sources.join("pekko/pom.xml"));
    run("Pekko", maven.arg(format!("-Dout={}", programs.join("pekko").display())))?;
    Ok(programs)
}

/// Runs a build; a tool that is not there is no error.
fn run(what: &str, command: &mut Command) -> Result<()> {
    let tool = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{tool} could not build the rig of {what}: {status}"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!(
                "{tool} is not installed: {what} is left out unless it was built before; install {tool} to measure it"
            );
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("cannot start {tool}")),
    }
}
