//! What the tests run: the real `greenroom dev` with three word counting nodes, the real client, and the shell that
//! knows the right counts.

mod dev;
mod repeats;
mod shell;

use std::path::Path;
use std::process::{Command, Stdio};

use greenroom::Client;
use serde_json::Value;

pub(crate) use dev::{Dev, READY, kill};
pub(crate) use repeats::Repeats;
pub(crate) use shell::{Counts, assert_same, counts_of};

/// A directory in which a cluster keeps its state and commands are run.
pub(crate) struct Directory(tempfile::TempDir);

/// One run of a node.
pub(crate) struct NodeRun {
    pub(crate) pid: u64,
    pub(crate) incarnation: u64,
}

impl Directory {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cluster.yaml"), include_str!("../../cluster.yaml")).unwrap();
        Self(directory)
    }

    /// Starts the cluster and waits until it is ready.
    pub(crate) fn start(&self) -> Dev {
        let mut command = self.command(&dev::greenroom());
        command.args(["dev", "cluster.yaml", "--bin", env!("CARGO_BIN_EXE_wordcount-node")]);
        Dev::start(&mut command, dev::READY)
    }

    /// A client in this process.
    pub(crate) fn client(&self) -> Client {
        Client::dev(self.0.path()).unwrap()
    }

    /// The client program, about to count the text as this run.
    pub(crate) fn counter(&self, text: &Path, run: &str) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_greenroom-wordcount")));
        command.arg(text).args(["--json", "--run", run]);
        command
    }

    /// What the client program prints.
    pub(crate) fn count(&self, text: &Path, run: &str) -> Counts {
        let output = self.counter(text, run).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The present run of a node.
    pub(crate) fn node(&self, name: &str) -> NodeRun {
        let output =
            self.command(&dev::greenroom()).args(["get", "nodes", name, "-o", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let nodes: Value = serde_json::from_slice(&output.stdout).unwrap();
        let number = |field: &str| nodes["items"][0][field].as_u64().unwrap();
        NodeRun { pid: number("pid"), incarnation: number("incarnation") }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command.env_remove("GREENROOM_DATA").env_remove("GREENROOM_GATEWAY");
        command
    }
}
