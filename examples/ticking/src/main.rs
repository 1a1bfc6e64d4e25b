//! Wakes ten thousand cells, and prints every few seconds how evenly they tick.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use greenroom::{Client, Runtime};
use greenroom_ticking::{Cell, CellRef, Report, Sky};

/// Wakes cells of birds, thirty ticks a second each, and watches them.
#[derive(Parser)]
struct Args {
    /// Be a node, too: all cells tick in this process
    #[arg(long, conflicts_with = "gateway")]
    local: bool,

    /// A gateway of the cluster, HOST:PORT; may be given several times. Without it, and without --local, the running
    /// `greenroom dev` cluster below the current directory is used
    #[arg(long, env = "GREENROOM_GATEWAY", value_delimiter = ',')]
    gateway: Vec<String>,

    /// How many columns and rows of cells there are
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    side: u32,

    /// How many birds a cell begins with
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=4_000))]
    birds: u32,

    /// Seconds between two lines
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,

    /// Ends after so many lines; otherwise Ctrl-C does
    #[arg(long)]
    lines: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.local {
        let runtime = Runtime::local().actor::<Cell>().start().await?;
        watch(&args, |key| runtime.actor::<Cell>(key)).await?;
        runtime.shutdown().await;
        return Ok(());
    }
    let client = if args.gateway.is_empty() { Client::dev(".")? } else { Client::connect(&args.gateway)? };
    watch(&args, |key| client.actor::<Cell>(key)).await
}

/// Runs the sky, and leaves it as it was found: with nothing ticking.
async fn watch(args: &Args, cell: impl Fn(&str) -> CellRef) -> Result<()> {
    let sky = Sky::new(args.side, cell);
    sky.populate(args.birds).await?;
    let outcome = tokio::select! {
        outcome = print_lines(&sky, args) => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into),
    };
    sky.freeze().await?;
    outcome
}

async fn print_lines(sky: &Sky<impl Fn(&str) -> CellRef>, args: &Args) -> Result<()> {
    println!("{HEADER}");
    let (mut before, mut at) = (sky.report().await?, Instant::now());
    for _ in 0..args.lines.unwrap_or(u64::MAX) {
        tokio::time::sleep(Duration::from_secs(args.every)).await;
        let (now, asked) = (sky.report().await?, Instant::now());
        ensure!(now.cells > 0, "no cell has answered");
        println!("{}", line(&now.since(&before), asked - at));
        (before, at) = (now, asked);
    }
    Ok(())
}

const HEADER: &str =
    "  CELLS   BIRDS   TICKS/S      RATE   SKIPPED   JITTER P50      P99      MAX   CROSSINGS/S";

/// What the cells did in this time.
fn line(did: &Report, time: Duration) -> String {
    let a_second = |count: u64| count as f64 / time.as_secs_f64();
    let jitter = |part| format!("< {:.1} ms", did.jitter.quantile(part).as_secs_f64() * 1e3);
    format!(
        "{:7} {:7} {:9.0} {:6.2} Hz {:9} {:>12} {:>8} {:>8} {:13.0}",
        did.cells,
        did.birds,
        a_second(did.ticks),
        a_second(did.ticks) / did.cells as f64,
        did.skipped,
        jitter(0.5),
        jitter(0.99),
        jitter(1.0),
        a_second(did.crossings),
    )
}
