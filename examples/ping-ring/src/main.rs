//! Throws a ping into a ring, and prints how fast it goes and where the actors are.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use greenroom::{Client, Runtime};
use greenroom_ping_ring::{Peer, PeerRef, Ring};

/// Passes a ping around a ring of actors.
#[derive(Parser)]
struct Args {
    /// Be a node, too: all actors live in this process
    #[arg(long, conflicts_with = "gateway")]
    local: bool,

    /// A gateway of the cluster, HOST:PORT; may be given several times. Without it, and without --local, the running
    /// `greenroom dev` cluster below the current directory is used
    #[arg(long, env = "GREENROOM_GATEWAY", value_delimiter = ',')]
    gateway: Vec<String>,

    /// How many actors the ring has
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    actors: u32,

    /// How many hops the ping makes: whole rounds, at least so many
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    hops: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Peers count: a ring of its own for each run, so that the counts begin at zero.
    let ring = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_millis();
    let key = |place: u32| format!("{ring}/{place}");
    if args.local {
        let runtime = Runtime::local().actor::<Peer>().start().await?;
        run(&args, |place| runtime.actor::<Peer>(key(place))).await?;
        runtime.shutdown().await;
        return Ok(());
    }
    let client = if args.gateway.is_empty() { Client::dev(".")? } else { Client::connect(&args.gateway)? };
    run(&args, |place| client.actor::<Peer>(key(place))).await
}

async fn run(args: &Args, peer: impl Fn(u32) -> PeerRef) -> Result<()> {
    let ring = Ring::new(args.actors, peer);
    // Everybody is in memory before the clock runs.
    for (node, actors) in ring.nodes().await? {
        println!("{actors:7} actors on {node}");
    }
    let hops = args.hops.next_multiple_of(args.actors.into());
    let (begun, mut rounds) = (Instant::now(), 0);
    ring.ping(hops, |_| rounds += 1).await?;
    let took = begun.elapsed();

    let counted: u64 = ring.hops().await?.iter().sum();
    ensure!(counted == hops, "the peers have counted {counted} hops of {hops}");
    println!("{hops:7} hops in {rounds} rounds, {took:.2?}: {:.0} hops/s", hops as f64 / took.as_secs_f64());
    Ok(())
}
