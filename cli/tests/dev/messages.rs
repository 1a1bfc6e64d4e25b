//! Dead letters and reply streams from the command line, with a node program of one's own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::rig::{Dev, Directory, signal};

/// Starts a cluster whose nodes serve `Desk`.
pub(super) fn start(directory: &Directory) -> Dev {
    let greenroom = PathBuf::from(env!("CARGO_BIN_EXE_greenroom"));
    // Cargo builds a package's examples with its tests, beside its programs.
    let desks = greenroom.parent().unwrap().join("examples/desks");
    directory.start_with(&["--bin", desks.to_str().unwrap()])
}

fn letters(directory: &Directory, filter: &[&str]) -> Vec<Value> {
    let args = [&["get", "deadletters", "-o", "json"], filter].concat();
    let list: Value = serde_json::from_str(&directory.stdout(&args)).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// The letters to this desk, as soon as there are so many.
fn when_there_are(directory: &Directory, number: usize, desk: &str) -> Vec<Value> {
    loop {
        let found = letters(directory, &[desk]);
        if found.len() >= number {
            return found;
        }
    }
}

#[test]
#[ignore = "slow"]
fn a_dead_letter_is_listed_and_sent_again_once_or_deleted() {
    let directory = Directory::new();
    let dev = start(&directory);
    assert!(letters(&directory, &[]).is_empty());
    for (to, letter) in [("rome", "first"), ("oslo", "second")] {
        let arguments = json!({ "to": to, "letter": letter }).to_string();
        directory.stdout(&["call", "Desk/paris", "send", &arguments]);
    }
    // Eight refusals of each, in twelve seconds.
    let rome = when_there_are(&directory, 1, "Desk/rome").remove(0);
    let oslo = when_there_are(&directory, 1, "Desk/oslo").remove(0);
    for (field, value) in [("from", "Desk/paris"), ("method", "take"), ("kind", "app")] {
        assert_eq!(rome[field], value, "{rome:#}");
    }
    assert_eq!(rome["durable"], true, "{rome:#}");
    assert!(rome["error"].as_str().unwrap().contains("this desk is closed"), "{rome:#}");

    directory.stdout(&["call", "Desk/rome", "open"]);
    let id = rome["id"].as_str().unwrap();
    assert_eq!(directory.stdout(&["deadletter", "resend", id]), format!("{id} is sent again"));
    // The stream has what was taken, and what is taken from now on.
    let mut items = directory.command(&["call", "Desk/rome", "letters", "--items"]);
    let mut items = items.stdout(Stdio::piped()).spawn().unwrap();
    let first = BufReader::new(items.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(first, r#""first""#);
    signal(items.id().into(), Signal::INT);
    items.wait().unwrap();
    assert!(letters(&directory, &["Desk/rome"]).is_empty());
    let again = directory.stderr(&["deadletter", "resend", id]);
    assert!(again.contains("dead letter"), "{again}");

    let id = oslo["id"].as_str().unwrap();
    assert_eq!(directory.stdout(&["deadletter", "delete", id]), format!("{id} is deleted"));
    assert!(letters(&directory, &[]).is_empty());
    assert_eq!(directory.stdout(&["call", "Desk/rome", "taken"]), "1");
    assert_eq!(directory.stdout(&["call", "Desk/oslo", "taken"]), "0");
    dev.interrupt();
}

#[test]
fn items_of_a_stream_are_printed_as_they_come_until_its_end() {
    let directory = Directory::new();
    let dev = start(&directory);
    directory.stdout(&["call", "Desk/rome", "open"]);
    let take = |letter: &str| {
        directory.stdout(&["call", "Desk/rome", "take", &json!({ "letter": letter }).to_string()])
    };
    take("first");
    let mut items = directory.command(&["call", "Desk/rome", "letters", "--items"]);
    let mut items = items.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(items.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), r#""first""#);
    take("second");
    assert_eq!(lines.next().unwrap(), r#""second""#);
    directory.stdout(&["call", "Desk/rome", "close"]);
    assert_eq!(lines.next(), None);
    assert!(items.wait().unwrap().success());

    let no_stream = directory.stderr(&["call", "Desk/rome", "taken", "--items"]);
    assert!(no_stream.contains("[invalid]"), "{no_stream}");
    let without = directory.run(&["call", "Desk/rome", "letters"]);
    assert!(String::from_utf8(without.stderr).unwrap().contains("--items"));
    dev.interrupt();
}
