//! `cargo xtask bench placements`: reads 100,000 placements through a real API server, a page after the other.
//!
//! Three nodes, the placement API and the client are this process, the API server and etcd are processes of their own.
//! A round is one whole list; the first does not count. CPU is that of this process: of nodes, API and client together.

#![allow(clippy::unwrap_used, reason = "nothing can be measured if something fails")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use support::World;

/// Measures how fast placements are listed.
#[derive(Parser)]
struct Args {
    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many lists are measured, after one that does not count
    #[arg(long, default_value_t = 7, value_name = "N")]
    rounds: usize,
    /// How many actors are in memory
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    actors: usize,
    /// Placements per page
    #[arg(long, default_value_t = 500, value_name = "N")]
    limit: usize,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let world = World::start().await;
    let shop = world.cluster("shop", 3).await;
    shop.fill(args.actors).await;
    let loads = (load(), measure(&world, &args).await, load());
    let (before, figures, after) = loads;
    let program = format!("{} placements, {} a page", args.actors, args.limit);
    println!("| {program} | median | least | greatest |\n|---|---|---|---|");
    let mut json = Vec::new();
    for (metric, mut samples) in figures {
        samples.sort();
        let (median, min, max) = (samples[samples.len() / 2], samples[0], samples[samples.len() - 1]);
        println!("| {metric} | {median:.3?} | {min:.3?} | {max:.3?} |");
        json.push(json!({
            "program": program, "rig": "greenroom", "metric": metric, "unit": "ns", "n": samples.len(),
            "median": nanos(median), "min": nanos(min), "max": nanos(max),
        }));
    }
    println!("\n{} rounds; load of the machine {before} before and {after} after.", args.rounds);
    if let Some(file) = args.json {
        std::fs::write(file, serde_json::to_string_pretty(&json).unwrap() + "\n").unwrap();
    }
    drop(shop);
    world.api.stop().await;
}

/// The samples of each metric: one per round.
async fn measure(world: &World, args: &Args) -> BTreeMap<&'static str, Vec<Duration>> {
    let mut figures = BTreeMap::<_, Vec<_>>::new();
    for round in 0..=args.rounds {
        let cpu = cpu();
        let mut paged = world.page_through(args.limit).await;
        let cpu = self::cpu() - cpu;
        assert_eq!(paged.keys.len(), args.actors);
        paged.pages.sort();
        let quantile = |of: usize| paged.pages[(paged.pages.len() * of).div_ceil(100) - 1];
        let costs = [
            ("list", paged.whole),
            ("list, CPU", cpu),
            ("page, median", quantile(50)),
            ("page, p99", quantile(99)),
        ];
        for (metric, cost) in costs.into_iter().filter(|_| round > 0) {
            figures.entry(metric).or_default().push(cost);
        }
    }
    figures
}

/// User and system time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How many tasks have been running or ready, on average of the last minute.
fn load() -> String {
    let loads = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split(' ').next().unwrap_or_default().to_owned()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
