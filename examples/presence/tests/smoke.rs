//! The program itself, in real time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn the_program_prints_where_the_friends_are() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_greenroom-presence"));
    program.args(["--local", "--lines", "8"]).env_remove("GREENROOM_GATEWAY");
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["bob", "carol", "dave", "erin"] {
        assert!(text.contains(&format!("{name} is in the ")), "{text}");
    }
}
