//! Opens accounts, moves money between them in many transfers at once, and adds everything up.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures_util::{StreamExt, TryStreamExt, stream};
use greenroom::{Client, NoResult, Runtime, WorkflowRef};
use greenroom_bank::{Account, AccountRef, Transfer, transfer};

/// Moves money between accounts, and checks that none is made or lost.
#[derive(Parser)]
struct Args {
    /// Be a node, too: everything runs in this process
    #[arg(long, conflicts_with = "gateway")]
    local: bool,

    /// A gateway of the cluster, HOST:PORT; may be given several times. Without it, and without --local, the running
    /// `greenroom dev` cluster below the current directory is used
    #[arg(long, env = "GREENROOM_GATEWAY", value_delimiter = ',')]
    gateway: Vec<String>,

    /// How many accounts there are
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    accounts: u64,

    /// How many transfers are made
    #[arg(long, default_value_t = 1_000)]
    transfers: u64,

    /// How many of them are under way at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..))]
    in_flight: u64,
}

/// What is paid into each account.
const PAID_IN: u64 = 100;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.local {
        let runtime = Runtime::local().actor::<Account>().workflow::<transfer>().start().await?;
        work(&args, |key| runtime.actor::<Account>(key), |key| runtime.workflow::<transfer>(key)).await?;
        runtime.shutdown().await;
        return Ok(());
    }
    let client = if args.gateway.is_empty() { Client::dev(".")? } else { Client::connect(&args.gateway)? };
    work(&args, |key| client.actor::<Account>(key), |key| client.workflow::<transfer>(key)).await
}

async fn work(
    args: &Args,
    account: impl Fn(String) -> AccountRef,
    moving: impl Fn(String) -> WorkflowRef<transfer>,
) -> Result<()> {
    // Accounts and transfers outlive this program, so the next one needs other keys.
    let run = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_millis();
    let name = |number: u64| format!("{run}/{}", number % args.accounts);
    for number in 0..args.accounts {
        account(name(number)).deposit(PAID_IN).await?;
    }
    let moved = stream::iter(0..args.transfers)
        .map(async |number| {
            // Some are more than there is in the account, and are refused.
            let (from, to, amount) =
                (name(number * 7), name(number * 7 + 1 + number % 3), 1 + number * 13 % 120);
            match moving(format!("{run}/{number}")).run(Transfer { from, to, amount }).await {
                Ok(()) => anyhow::Ok(true),
                Err(NoResult::Failed(_)) => Ok(false),
                Err(error) => Err(error).with_context(|| format!("transfer {number}")),
            }
        })
        .buffer_unordered(usize::try_from(args.in_flight)?)
        .try_fold(0, async |moved, ok| Ok(moved + u64::from(ok)))
        .await?;
    let mut sum = 0;
    for number in 0..args.accounts {
        sum += account(name(number)).balance().await?;
    }
    println!("{moved} transfers, {} refused, {sum} in {} accounts", args.transfers - moved, args.accounts);
    ensure!(sum == args.accounts * PAID_IN, "{} were paid in", args.accounts * PAID_IN);
    Ok(())
}
