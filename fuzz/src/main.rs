//! Runs one input through a target, in an ordinary build: `greenroom-fuzz TARGET FILE`.

use std::process::ExitCode;

use greenroom_fuzz::{TARGETS, target};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, file] = &arguments[..] else { return refused("give a target and a file") };
    let Some(target) = target(name) else { return refused(&format!("there is no target {name:?}")) };
    let input = match std::fs::read(file) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("error: cannot read {file}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{} bytes: {}", input.len(), String::from_utf8_lossy(&input).escape_debug());
    (target.check)(&input);
    println!("all that must hold for {name} holds");
    ExitCode::SUCCESS
}

fn refused(why: &str) -> ExitCode {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!("error: {why}; the targets are {}", names.join(", "));
    ExitCode::FAILURE
}
