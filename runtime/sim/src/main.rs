//! `greenroom-sim`: simulates many seeds, or one.

use std::process::ExitCode;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use greenroom_sim::{Report, Stats, simulate};
use indicatif::{ProgressBar, ProgressStyle};

/// How many lines of the trace a violation is shown with.
const TAIL: usize = 40;

/// Simulate the runtime with faults; a seed that fails replays exactly.
#[derive(Parser)]
#[command(name = "greenroom-sim", bin_name = "cargo xtask sim")]
struct Cli {
    /// How many seeds to run
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "S", default_value_t = 0)]
    from: u64,
    /// Run this seed only
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Print everything that happens
    #[arg(long, requires = "seed")]
    trace: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.seed {
        Some(seed) => one(seed, cli.trace),
        None => many(cli.from, cli.seeds),
    }
}

fn one(seed: u64, trace: bool) -> ExitCode {
    let report = simulate(seed, None);
    if trace {
        report.trace.iter().for_each(|line| println!("{line}"));
    }
    summary(1, &report.stats);
    println!("trace hash {:016x}", report.hash);
    verdict(&report)
}

fn many(from: u64, seeds: u64) -> ExitCode {
    let bar = ProgressBar::new(seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    let mut stats = Stats::default();
    for seed in from..from.saturating_add(seeds) {
        let report = simulate(seed, None);
        stats += report.stats;
        bar.inc(1);
        if report.violation.is_some() {
            bar.abandon();
            summary(seed - from + 1, &stats);
            return verdict(&report);
        }
    }
    bar.finish_and_clear();
    summary(seeds, &stats);
    println!("no violation");
    ExitCode::SUCCESS
}

fn summary(seeds: u64, stats: &Stats) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_row(["seeds".to_owned(), seeds.to_string(), "histories".to_owned()]);
    table.add_row([
        "time".to_owned(),
        format!("{:.0} s", stats.time.as_secs_f64()),
        "virtual time that passed in them".to_owned(),
    ]);
    for (name, count, meaning) in stats.rows() {
        table.add_row([name.to_owned(), count.to_string(), meaning.to_owned()]);
    }
    if let Some(counts) = table.column_mut(1) {
        counts.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

fn verdict(report: &Report) -> ExitCode {
    let Some(violation) = &report.violation else { return ExitCode::SUCCESS };
    eprintln!("\nthe end of the trace:");
    let from = report.trace.len().saturating_sub(TAIL);
    report.trace[from..].iter().for_each(|line| eprintln!("{line}"));
    eprintln!("\nerror: seed {} violates {violation}", report.seed);
    eprintln!("replay: cargo xtask sim --seed {} --trace", report.seed);
    ExitCode::FAILURE
}
