//! `greenroom dev` as a user runs it: the real program, real nodes, and the other commands from a second terminal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const MANIFEST: &str = "\
apiVersion: greenroom.dev/v1alpha1
kind: ActorCluster
metadata:
  name: demo
spec:
  replicas: 2
  shards: 16
";

/// A directory with a manifest, in which commands are run.
struct Directory(tempfile::TempDir);

/// A running `greenroom dev`; it is killed with the test, and takes its nodes with it.
struct Dev {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Directory {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cluster.yaml"), MANIFEST).unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(args).current_dir(self.path()).env_remove("GREENROOM_DATA");
        // Nothing here is to reach for the Kubernetes of whoever runs the tests.
        command.env_remove("KUBECONFIG").env("HOME", self.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command prints; it must succeed.
    fn stdout(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// What a command complains about; it must fail.
    fn stderr(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn start(&self) -> Dev {
        let mut command = self.command(&["dev", "cluster.yaml"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut dev = Dev { child, lines };
        dev.wait_for("demo: ready, 2 nodes serve 16 shards");
        dev
    }

    fn pid_of(&self, node: &str) -> u64 {
        let nodes: Value = serde_json::from_str(&self.stdout(&["get", "nodes", node, "-o", "json"])).unwrap();
        nodes["items"][0]["pid"].as_u64().unwrap()
    }
}

impl Dev {
    fn wait_for(&mut self, wanted: &str) {
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
    fn interrupt(mut self) {
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

fn signal(pid: u64, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn calls_are_answered_and_the_state_outlives_the_cluster() {
    let directory = Directory::new();
    let dev = directory.start();
    assert_eq!(directory.stdout(&["call", "Counter/page-1", "add", r#"{"by":3}"#]), "3");
    assert!(directory.stdout(&["get", "placements"]).contains("Counter/page-1"));
    assert!(directory.stdout(&["describe", "actor", "Counter/page-1"]).contains("active on demo-"));
    let clusters = directory.stdout(&["get", "clusters"]);
    assert!(clusters.split_whitespace().any(|cell| cell == "2/2"), "{clusters}");
    let second = directory.stderr(&["dev", "cluster.yaml"]);
    assert!(
        second.contains(&format!("already runs on .greenroom/demo (process {})", dev.child.id())),
        "{second}"
    );
    dev.interrupt();

    let nothing = directory.stderr(&["call", "Counter/page-1", "total"]);
    assert!(nothing.contains("no dev cluster runs"), "{nothing}");
    let dev = directory.start();
    assert_eq!(directory.stdout(&["call", "Counter/page-1", "total"]), "3");
    dev.interrupt();
}

#[test]
fn a_call_with_the_same_id_is_applied_once_also_across_the_death_of_every_node() {
    let directory = Directory::new();
    let mut dev = directory.start();
    let id = "0123456789abcdef0123456789abcdef";
    let add = ["call", "Counter/page-1", "add", r#"{"by":3}"#, "--call-id", id];
    assert_eq!(directory.stdout(&add), "3");
    let pids = ["demo-0", "demo-1"].map(|node| directory.pid_of(node));
    pids.iter().for_each(|pid| signal(*pid, Signal::KILL));
    dev.wait_for("killed by SIGKILL");
    dev.wait_for("demo: ready");
    assert_eq!(directory.stdout(&add), "3");
    assert_eq!(directory.stdout(&["call", "Counter/page-1", "total"]), "3");
    assert!(!pids.contains(&directory.pid_of("demo-0")));
    dev.interrupt();
}

#[test]
fn top_shows_the_rates_of_a_second() {
    let directory = Directory::new();
    let dev = directory.start();
    let top = directory.command(&["top", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let caller = directory.command(&["call", "Counter/page-1", "add", r#"{"by":3}"#]);
    let rows = called_until_the_end_of(top, caller);
    let calls: Vec<_> =
        rows["items"].as_array().unwrap().iter().map(|row| row["callsPerSecond"].as_f64().unwrap()).collect();
    assert_eq!(calls.len(), 2, "{rows:#}");
    assert!(calls.iter().sum::<f64>() > 0.0, "{rows:#}");
    dev.interrupt();
}

/// What `watcher` prints, while calls are made until it ends.
fn called_until_the_end_of(mut watcher: Child, mut caller: Command) -> Value {
    while watcher.try_wait().unwrap().is_none() {
        assert!(caller.output().unwrap().status.success());
    }
    serde_json::from_reader(watcher.stdout.take().unwrap()).unwrap()
}

#[test]
fn a_node_can_be_stopped_and_started_from_another_terminal() {
    let directory = Directory::new();
    let mut dev = directory.start();
    assert_eq!(directory.stdout(&["dev", "stop", "demo-1"]), "demo-1 has stopped");
    dev.wait_for("demo-1: stopped");
    assert_eq!(directory.stdout(&["dev", "start", "demo-1"]), "demo-1 is starting");
    dev.wait_for("demo: ready, 2 nodes");
    dev.interrupt();
}

#[test]
fn wrong_calls_say_what_to_do() {
    let directory = Directory::new();
    let dev = directory.start();
    for (args, parts) in [
        (["call", "Countr/a", "add", "{}"], ["[not_found]", "greenroom get types"]),
        (["call", "Counter/a", "ad", "{}"], ["[not_found]", "greenroom get types"]),
        (["call", "Counter/a", "add", r#"{"b":3}"#], ["[invalid]", "by"]),
        (["call", "Counter/a", "add", "{"], ["not JSON", "line 1 column 1"]),
    ] {
        let error = directory.stderr(&args);
        assert!(parts.iter().all(|part| error.contains(part)), "{args:?}: {error}");
    }
    dev.interrupt();
}

#[test]
fn a_wrong_yaml_is_refused_with_line_field_and_remedy() {
    let directory = Directory::new();
    let wrong = MANIFEST.replace("shards: 16", "shard: 16");
    std::fs::write(directory.path().join("wrong.yaml"), wrong).unwrap();
    let error = directory.stderr(&["dev", "wrong.yaml"]);
    for part in ["wrong.yaml:7:3", "7 |   shard: 16", "spec.shard", "`shards`"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_changed_number_of_nodes_is_refused_with_the_way_out() {
    let directory = Directory::new();
    directory.start().interrupt();
    let changed = MANIFEST.replace("replicas: 2", "replicas: 3");
    std::fs::write(directory.path().join("changed.yaml"), changed).unwrap();
    let error = directory.stderr(&["dev", "changed.yaml"]);
    for part in ["created with replicas: 2", "replicas: 3", "set replicas back to 2", "rm -r .greenroom/demo"]
    {
        assert!(error.contains(part), "{error}");
    }
}
