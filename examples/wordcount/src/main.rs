//! Counts the words of a text with an actor per word, and prints the most frequent ones.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use greenroom::Client;
use greenroom_wordcount::{count::Count, text};
use indicatif::{ProgressBar, ProgressStyle};

/// Counts the words of a text with an actor per word.
#[derive(Parser)]
struct Args {
    /// The text
    #[arg(default_value = "/usr/share/common-licenses/GPL-3")]
    file: PathBuf,

    /// A gateway of the cluster, HOST:PORT; may be given several times. Without it the running `greenroom dev` cluster
    /// below the current directory is used
    #[arg(long, env = "GREENROOM_GATEWAY", value_delimiter = ',')]
    gateway: Vec<String>,

    /// The name of this count. Given again it goes on with that count: no word is counted twice [default: a new one]
    #[arg(long)]
    run: Option<String>,

    /// How many calls are on their way at once
    #[arg(long, default_value_t = 64)]
    in_flight: usize,

    /// How many of the most frequent words to print
    #[arg(long, default_value_t = 10)]
    top: usize,

    /// Print every count as JSON instead
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let text = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let words: Vec<_> = text::words(&text).collect();
    if words.is_empty() {
        bail!("{} has no words", args.file.display());
    }
    let client = if args.gateway.is_empty() { Client::dev(".")? } else { Client::connect(&args.gateway)? };
    let run = args.run.unwrap_or_else(|| format!("run-{}", std::process::id()));
    eprintln!("counting {} words of {} as {run}", words.len(), args.file.display());

    let bar = progress_bar(words.len() as u64)?;
    let count = Count { client: &client, run: &run, in_flight: args.in_flight.max(1) };
    count.send(&words, || bar.inc(1)).await?;
    bar.finish_and_clear();

    let counts = count.counts(&words).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&counts)?);
        return Ok(());
    }
    let mut ranking: Vec<_> = counts.into_iter().collect();
    ranking.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (word, seen) in ranking.iter().take(args.top) {
        println!("{seen:7} {word}");
    }
    Ok(())
}

fn progress_bar(length: u64) -> Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} words, {per_sec}, {eta} left")?;
    Ok(ProgressBar::new(length).with_style(style))
}
