//! Where the workspace is and how its commands are started.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

/// Variables that `cargo run` sets for this very program. Build scripts (ring's, for one) run again when they
/// change, so a cargo that we start must not see them: else each change between `cargo` and `cargo xtask`
/// compiles half of the tree again.
const OURS: [&str; 6] = [
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// Variables of the user's shell that would change what the tests see.
const THEIRS: [&str; 2] = ["GREENROOM_", "RUST_LOG"];

/// But these: where built tools are kept, and which version of Kubernetes is meant.
const KEPT: [&str; 2] = ["GREENROOM_CACHE", "GREENROOM_KUBERNETES"];

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder of the workspace")
}

/// A command that runs in the root of the workspace, with no input and the same environment on every machine.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let kept = KEPT.contains(&&*text);
        if !kept && OURS.iter().chain(&THEIRS).any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// The cargo that started us, see [`command`].
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        // Nobody edits there, and what incremental builds keep costs time and space, and now and then is broken.
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    cargo
}

/// The command that builds these programs, for tests.
///
/// A small test is built along with them. Tests bring features to what they depend on: with one among the targets, cargo
/// takes every dependency as the build of the whole workspace has made it, and makes none again.
pub(crate) fn build<'a>(programs: impl IntoIterator<Item = &'a str>) -> Command {
    let mut cargo = cargo();
    cargo.args(["build", "--workspace", "--test", "handshake"]);
    for program in programs {
        cargo.args(["--bin", program]);
    }
    cargo
}

/// Runs `command` in the foreground and hands on its success or failure.
pub(crate) fn run(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
