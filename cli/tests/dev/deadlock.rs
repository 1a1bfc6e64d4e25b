//! Calls that wait for each other, in node processes of their own: probes go from process to process.

use std::process::Stdio;

use serde_json::{Value, json};

use super::messages::start;
use super::rig::Directory;

/// The actors of this type, one on each node.
fn one_on_each_node(directory: &Directory) -> [String; 2] {
    let placed = |key: u32| {
        let actor = format!("Desk/{key}");
        directory.stdout(&["call", &actor, "open"]);
        let list = directory.stdout(&["get", "placements", &actor, "-o", "json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        (actor, list["items"][0]["node"].as_str().unwrap().to_owned())
    };
    let (first, its_node) = placed(0);
    let (second, _) = (1..).map(placed).find(|(_, node)| *node != its_node).unwrap();
    [first, second]
}

#[test]
fn two_calls_that_wait_for_each_other_in_two_processes_end_with_their_path() {
    let directory = Directory::new();
    let dev = start(&directory);
    let desks = one_on_each_node(&directory);
    let keys = desks.each_ref().map(|desk| desk.strip_prefix("Desk/").unwrap());
    let calls = [(&desks[0], keys[1]), (&desks[1], keys[0])].map(|(desk, other)| {
        let arguments = json!({ "other": other }).to_string();
        let mut call = directory.command(&["call", desk, "ask_when_two_have_come", &arguments]);
        call.stdout(Stdio::piped()).spawn().unwrap()
    });
    let mut told = calls.map(|call| {
        let output = call.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    });
    // The one that gave up, a circle later, made room for the other one.
    told.sort_by_key(|told| told.contains('→'));
    let circle = |first, second| json!(format!("{first} → {second} → {first}")).to_string();
    let circles = [circle(&desks[0], &desks[1]), circle(&desks[1], &desks[0])];
    assert!(told[0] == r#""answered""# && circles.contains(&told[1]), "{told:?}");
    dev.interrupt();
}
