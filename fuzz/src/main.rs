//! Runs one input through a target, in an ordinary build: `greenroom-fuzz TARGET FILE`.

use std::error::Error;
use std::process::ExitCode;

use greenroom_fuzz::{TARGETS, target};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, file] = &arguments[..] else { return Ok(refused("give a target and a file")) };
    let Some(target) = target(name) else { return Ok(refused("there is no such target; take one of these")) };
    let input = std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    println!("{} bytes: {}", input.len(), String::from_utf8_lossy(&input).escape_debug());
    (target.check)(&input);
    println!("all that must hold for {name} holds");
    Ok(ExitCode::SUCCESS)
}

fn refused(why: &str) -> ExitCode {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!("error: {why}: {}", names.join(", "));
    ExitCode::FAILURE
}
