//! The program itself, in real time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn the_program_prints_its_hops_and_where_the_actors_are() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_greenroom-ping-ring"));
    program.arg("--local").env_remove("GREENROOM_GATEWAY").env_remove("GREENROOM_NODE");
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    assert_eq!(lines[0], "20 actors on this process", "{text}");
    assert!(lines[1].starts_with("1000 hops in 50 rounds, ") && lines[1].ends_with(" hops/s"), "{text}");
}
