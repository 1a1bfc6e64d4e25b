//! `greenroom dev` as a user runs it: the real program, real nodes, and the other commands from a second terminal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deadlock;
mod messages;
mod process;
mod rig;

use std::process::{Child, Command, Stdio};

use rig::{Directory, MANIFEST, signal};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn calls_are_answered_and_the_state_outlives_the_cluster() {
    let directory = Directory::new();
    let dev = directory.start();
    assert_eq!(directory.stdout(&["call", "Counter/page-1", "add", r#"{"by":3}"#]), "3");
    for what in [&["get", "placements"][..], &["get", "placements", "Counter/page-1"]] {
        assert!(directory.stdout(what).contains("Counter/page-1"));
    }
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
