//! The program `greenroom`, and its `greenroom dev` with three word counting nodes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rustix::process::Signal;

#[path = "../../../../cli/tests/dev/process.rs"]
mod process;

pub(crate) use process::Dev;

/// What is said when all three nodes serve their shards; if they do so all along, when they do so again.
pub(crate) const READY: &str = "wordcount: ready, 3 nodes serve";

/// SIGKILL: the process gets no chance to finish anything.
pub(crate) fn kill(pid: u64) {
    process::signal(pid, Signal::KILL);
}

/// The program `greenroom`. Cargo tells a test about the programs of its own package only; this one stands beside them,
/// once the workspace has been built.
pub(crate) fn greenroom() -> PathBuf {
    static GREENROOM: LazyLock<PathBuf> = LazyLock::new(|| {
        let profile = Path::new(env!("CARGO_BIN_EXE_wordcount-node")).parent().unwrap();
        let program = profile.join("greenroom");
        if !program.is_file() {
            build(profile);
        }
        program
    });
    GREENROOM.clone()
}

fn build(profile: &Path) {
    let name = profile.file_name().and_then(|name| name.to_str()).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "greenroom-cli", "--bin", "greenroom"]);
    cargo.args(["--profile", if name == "debug" { "dev" } else { name }]);
    cargo.arg("--target-dir").arg(profile.parent().unwrap());
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "{cargo:?}");
}
