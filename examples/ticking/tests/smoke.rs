//! The program itself, in real time, with few cells.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn the_program_prints_what_the_cells_do() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_greenroom-ticking"));
    program.args(["--local", "--side", "10", "--every", "1", "--lines", "2"]).env_remove("GREENROOM_GATEWAY");
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..4], ["CELLS", "BIRDS", "TICKS/S", "RATE"], "{text}");
    assert_eq!(lines.len(), 3, "{text}");
    for line in &lines[1..] {
        assert_eq!(line[0], "100", "{text}");
        // However slow the machine is: cells tick, and never faster than they should.
        let rate: f64 = line[3].parse().unwrap();
        assert!(rate > 1.0 && rate < 33.0, "{text}");
    }
}
