//! Measurements of Greenroom: `cargo xtask bench NAME [--json FILE]`.
//!
//! What needs a process of its own is this program again, in one of the hidden roles of [`Program`].

mod actors;
mod basics;
mod measure;
mod peer;
mod report;
mod scale;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tempfile::TempDir;

use actors::{Machine, Role};

/// Measures Greenroom and prints a table.
#[derive(Parser)]
struct Args {
    /// What to measure
    program: Program,
    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the figures of `actors` into this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Measure this part only; of `actors`, the programs whose name contains this
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Also measure the other frameworks whose programs are in this directory
    #[arg(long, value_name = "DIRECTORY")]
    peers: Option<PathBuf>,
    /// How often each rig is measured, after one round that does not count
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Program {
    /// Calls in process, over the mesh and durable ones, each beside its floor; memory
    Basics,
    /// Turns in process, beside the floor and beside other frameworks
    Actors,
    /// What must not become slow when there is much of it: reminders at once, items of a map
    Scale,
    /// A node of the cluster that the environment names
    #[value(hide = true)]
    Node,
    /// The floor of the mesh: a TCP server that sends every frame back
    #[value(hide = true)]
    Echo,
    /// Says how much memory idle activations take
    #[value(hide = true)]
    Activations,
    /// A rig of `actors`: Greenroom
    #[value(hide = true)]
    RigGreenroom,
    /// A rig of `actors`: Greenroom with methods that are no `async fn`
    #[value(hide = true)]
    RigPlain,
    /// A rig of `actors`: a task and a channel per actor
    #[value(hide = true)]
    RigFloor,
    /// A rig of `actors`: a concurrent map
    #[value(hide = true)]
    RigMap,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // On a worker like everything that it measures: the main thread is not one of the scheduler's.
    tokio::spawn(run(args)).await?
}

async fn run(args: Args) -> Result<()> {
    let machine = Machine::look();
    let only = args.only.as_deref();
    let report = match args.program {
        Program::Basics => basics::run(args.rounds, only).await?,
        Program::Actors => actors::run(args.rounds, only, args.peers.as_deref()).await?,
        Program::Scale => scale::run(args.rounds, only).await?,
        Program::Node => return basics::mesh::node().await,
        Program::Echo => return basics::tcp::serve().await,
        Program::Activations => return basics::memory::grow().await,
        Program::RigGreenroom => return Role::Greenroom.serve().await,
        Program::RigPlain => return Role::Plain.serve().await,
        Program::RigFloor => return Role::Floor.serve().await,
        Program::RigMap => return Role::Map.serve().await,
    };
    if cfg!(debug_assertions) {
        eprintln!("This build is not optimised: its figures mean nothing. Use `cargo xtask bench`.");
    }
    if let Program::Actors = args.program {
        println!("# actors\n\n{machine}\n\n{}", actors::bars(&report));
    }
    print!("{report}");
    if let Some(file) = args.json {
        let json = serde_json::to_string_pretty(&report.figures())? + "\n";
        std::fs::write(&file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = args.svg {
        actors::draw(&report, &file)?;
    }
    Ok(())
}

/// A temporary directory beside this program: the one for temporary files is often in memory, where a sync costs
/// nothing.
fn scratch() -> Result<TempDir> {
    let program = std::env::current_exe()?;
    let target = program.parent().context("a program is in a directory")?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(target)?)
}
