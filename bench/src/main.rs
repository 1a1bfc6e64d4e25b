//! Measurements of Greenroom: `cargo xtask bench NAME [--json FILE]`.
//!
//! What needs a process of its own is this program again, in one of the hidden roles of [`Program`].

mod basics;
mod measure;
mod peer;
mod report;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

/// Measures Greenroom and prints a table.
#[derive(Parser)]
struct Args {
    /// What to measure
    program: Program,
    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this part only
    #[arg(long, value_name = "PART")]
    only: Option<basics::Part>,
    /// How often each rig is measured, after one round that does not count
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Program {
    /// Calls in process, over the mesh and durable ones, each beside its floor; memory
    Basics,
    /// A node of the cluster that the environment names
    #[value(hide = true)]
    Node,
    /// The floor of the mesh: a TCP server that sends every frame back
    #[value(hide = true)]
    Echo,
    /// Says how much memory idle activations take
    #[value(hide = true)]
    Activations,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // On a worker like everything that it measures: the main thread is not one of the scheduler's.
    tokio::spawn(run(args)).await?
}

async fn run(args: Args) -> Result<()> {
    let report = match args.program {
        Program::Basics => basics::run(args.rounds, args.only).await?,
        Program::Node => return basics::mesh::node().await,
        Program::Echo => return basics::tcp::serve().await,
        Program::Activations => return basics::memory::grow().await,
    };
    if cfg!(debug_assertions) {
        eprintln!("This build is not optimised: its figures mean nothing. Use `cargo xtask bench`.");
    }
    print!("{report}");
    if let Some(file) = args.json {
        let json = serde_json::to_string_pretty(&report.figures())? + "\n";
        std::fs::write(&file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
