//! `greenroom-sim`: simulates many seeds, or one.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use greenroom_sim::{Report, Tally, programs, simulate};
use indicatif::{ProgressBar, ProgressStyle};

/// How many lines of the trace a violation is shown with.
const TAIL: usize = 40;
/// How often a log says how far it is.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Simulate the runtime with faults; a seed that fails replays exactly.
#[derive(Parser)]
#[command(name = "greenroom-sim", bin_name = "cargo xtask sim")]
struct Cli {
    /// Random programs of everything that actors can do, checked against a sequential model
    #[arg(long)]
    programs: bool,
    /// How many seeds to run
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "S", default_value_t = 0)]
    from: u64,
    /// Run this seed only
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Leave these parts out of the seed's program
    #[arg(long, value_name = "PARTS", value_delimiter = ',', requires_all = ["seed", "programs"])]
    without: Vec<u32>,
    /// Print everything that happens
    #[arg(long, requires = "seed")]
    trace: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.programs {
        let without: BTreeSet<_> = cli.without.iter().copied().collect();
        let is_whole = without.is_empty();
        return run(
            &cli,
            |seed| programs::simulate(seed, None, &without),
            |seed| {
                let shrunk = programs::shrink(seed, None).filter(|_| is_whole);
                shrunk.map_or_else(
                    || format!("cargo xtask sim --programs --seed {seed} --trace"),
                    |shrunk| shrunk.to_string(),
                )
            },
        );
    }
    run(&cli, |seed| simulate(seed, None), |seed| format!("replay: cargo xtask sim --seed {seed} --trace"))
}

/// Runs what is asked for; `replay` says how to see a failing seed again.
fn run<S: Tally>(cli: &Cli, simulate: impl Fn(u64) -> Report<S>, replay: impl Fn(u64) -> String) -> ExitCode {
    match cli.seed {
        Some(seed) => one(seed, cli.trace, simulate, replay),
        None => many(cli.from, cli.seeds, simulate, replay),
    }
}

fn one<S: Tally>(
    seed: u64,
    trace: bool,
    simulate: impl Fn(u64) -> Report<S>,
    replay: impl Fn(u64) -> String,
) -> ExitCode {
    let report = simulate(seed);
    if trace {
        report.trace.iter().for_each(|line| println!("{line}"));
    }
    summary(1, &report.stats);
    println!("trace hash {:016x}", report.hash);
    verdict(&report, replay)
}

fn many<S: Tally>(
    from: u64,
    seeds: u64,
    simulate: impl Fn(u64) -> Report<S>,
    replay: impl Fn(u64) -> String,
) -> ExitCode {
    let (bar, begin) = (ProgressBar::new(seeds), Instant::now());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    let (mut stats, mut log) = (S::default(), Log::new());
    for seed in from..from.saturating_add(seeds) {
        let report = simulate(seed);
        stats += report.stats;
        bar.inc(1);
        log.seed(from, bar.position(), begin);
        if report.violation.is_some() {
            bar.abandon();
            rate(seed - from + 1, begin);
            summary(seed - from + 1, &stats);
            return verdict(&report, replay);
        }
    }
    bar.finish_and_clear();
    rate(seeds, begin);
    summary(seeds, &stats);
    println!("no violation");
    ExitCode::SUCCESS
}

/// What a run says of its progress where no bar can be shown: a line from time to time, for the log of a night.
struct Log {
    is_wanted: bool,
    last: Instant,
}

impl Log {
    fn new() -> Self {
        Self { is_wanted: !std::io::stderr().is_terminal(), last: Instant::now() }
    }

    /// So many seeds are done, of those from `from` on.
    fn seed(&mut self, from: u64, done: u64, begin: Instant) {
        if self.is_wanted && self.last.elapsed() >= LOG_EVERY {
            self.last = Instant::now();
            let next = from + done;
            eprintln!("{done} seeds, {:.0} a minute; --from {next} goes on here", per_minute(done, begin));
        }
    }
}

fn per_minute(seeds: u64, begin: Instant) -> f64 {
    seeds as f64 * 60.0 / begin.elapsed().as_secs_f64().max(0.001)
}

fn rate(seeds: u64, begin: Instant) {
    let time = begin.elapsed().as_secs_f64();
    println!("{seeds} seeds in {time:.0} s: {:.0} a minute", per_minute(seeds, begin));
}

fn summary(seeds: u64, stats: &impl Tally) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_row(["seeds".to_owned(), seeds.to_string(), "histories".to_owned()]);
    table.add_row([
        "time".to_owned(),
        format!("{:.0} s", stats.time().as_secs_f64()),
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

fn verdict<S>(report: &Report<S>, replay: impl Fn(u64) -> String) -> ExitCode {
    let Some(violation) = &report.violation else { return ExitCode::SUCCESS };
    eprintln!("\nthe end of the trace:");
    let from = report.trace.len().saturating_sub(TAIL);
    report.trace[from..].iter().for_each(|line| eprintln!("{line}"));
    eprintln!("\nerror: seed {} violates {violation}", report.seed);
    eprintln!("{}", replay(report.seed));
    ExitCode::FAILURE
}
