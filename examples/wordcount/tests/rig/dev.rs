//! A running `greenroom dev`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use rustix::process::{Pid, Signal, kill_process};

/// It is killed with the test, and takes its nodes with it.
pub(crate) struct Dev {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Dev {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut dev = Self { child, lines };
        dev.wait_until_ready();
        dev
    }

    /// Waits until all three nodes serve their shards; if they do so all along, until they do so again.
    pub(crate) fn wait_until_ready(&mut self) {
        self.wait_for("wordcount: ready, 3 nodes serve");
    }

    pub(crate) fn wait_for(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.contains(wanted) {
                return;
            }
            seen.push(line);
        }
        panic!("`greenroom dev` ended without saying {wanted:?}; it said\n{}", seen.join("\n"));
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(mut self) {
        signal(self.child.id().into(), Signal::INT);
        self.wait_for("stopped; the state stays in");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has ended already if the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// SIGKILL: the process gets no chance to finish anything.
pub(crate) fn kill(pid: u64) {
    signal(pid, Signal::KILL);
}

fn signal(pid: u64, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
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
