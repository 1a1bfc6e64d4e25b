//! A directory with a manifest, and a running `greenroom dev` in it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

pub(crate) use super::process::{Dev, signal};

pub(crate) const MANIFEST: &str = "\
apiVersion: greenroom.dev/v1alpha1
kind: ActorCluster
metadata:
  name: demo
spec:
  replicas: 2
  shards: 16
";

/// A directory with a manifest, in which commands are run.
pub(crate) struct Directory(tempfile::TempDir);

impl Directory {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cluster.yaml"), MANIFEST).unwrap();
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(args).current_dir(self.path()).env_remove("GREENROOM_DATA");
        // Nothing here is to reach for the Kubernetes of whoever runs the tests.
        command.env_remove("KUBECONFIG").env("HOME", self.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command prints; it must succeed.
    pub(crate) fn stdout(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// What a command complains about; it must fail.
    pub(crate) fn stderr(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn start(&self) -> Dev {
        self.start_with(&[])
    }

    /// Starts the cluster, with these options of `greenroom dev`.
    pub(crate) fn start_with(&self, options: &[&str]) -> Dev {
        let mut command = self.command(&["dev", "cluster.yaml"]);
        Dev::start(command.args(options), "demo: ready, 2 nodes serve 16 shards")
    }

    pub(crate) fn pid_of(&self, node: &str) -> u64 {
        let nodes: Value = serde_json::from_str(&self.stdout(&["get", "nodes", node, "-o", "json"])).unwrap();
        nodes["items"][0]["pid"].as_u64().unwrap()
    }
}
