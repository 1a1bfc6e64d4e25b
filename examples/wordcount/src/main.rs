//! Counts the words of a text with an actor per word, and prints the most frequent ones.

mod progress;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Parser;
use greenroom::Client;
use greenroom_wordcount::{count::Count, text};

use crate::progress::Progress;

/// Counts the words of a text with an actor per word.
#[derive(Parser)]
struct Args {
    /// The text
    #[arg(default_value = "/usr/share/common-licenses/GPL-3")]
    file: PathBuf,

    /// A gateway of the cluster, HOST:PORT; may be given several times. `kubectl greenroom proxy` prints one for a
    /// cluster in Kubernetes. Without it the running `greenroom dev` cluster below the current directory is used
    #[arg(long, env = "GREENROOM_GATEWAY", value_delimiter = ',')]
    gateway: Vec<String>,

    /// The name of this count. Given again, within the ten minutes that actors remember calls, it goes on with that
    /// count: no word is counted twice [default: a new one]
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
    let run = args.run.map_or_else(new_run, Ok)?;
    eprintln!("counting {} words of {} as {run}", words.len(), args.file.display());

    let progress = Progress::new(words.len())?;
    let count = Count { client: &client, run: &run, in_flight: args.in_flight.max(1) };
    count.send(&words, || progress.step()).await?;
    progress.finish();

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

/// A name that no count had before: counts outlive processes, so a process id would come again.
fn new_run() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(format!("run-{}", now.as_millis()))
}
