//! A small world: sessions of some players walk about, break off and come back, and one player watches her friends.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use futures_util::future::try_join_all;
use greenroom::{CallError, Client, Runtime};
use greenroom_presence::{Friend, Friends, FriendsRef, Player, PlayerRef, SILENCE};

/// Lets players walk about, and watches them as their friend Ann does.
#[derive(Parser)]
struct Args {
    /// Be a node, too: all actors live in this process
    #[arg(long, conflicts_with = "gateway")]
    local: bool,

    /// A gateway of the cluster, HOST:PORT; may be given several times. Without it, and without --local, the running
    /// `greenroom dev` cluster below the current directory is used
    #[arg(long, env = "GREENROOM_GATEWAY", value_delimiter = ',')]
    gateway: Vec<String>,

    /// Ends after so many lines; otherwise Ctrl-C does
    #[arg(long)]
    lines: Option<usize>,
}

const NAMES: [&str; 4] = ["bob", "carol", "dave", "erin"];
const PLACES: [&str; 5] = ["hall", "library", "garden", "tower", "cellar"];

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.local {
        let runtime = Runtime::local().actor::<Player>().actor::<Friends>().start().await?;
        live(&args, runtime.actor::<Friends>("ann"), |name| runtime.actor::<Player>(name)).await?;
        runtime.shutdown().await;
        return Ok(());
    }
    let client = if args.gateway.is_empty() { Client::dev(".")? } else { Client::connect(&args.gateway)? };
    live(&args, client.actor::<Friends>("ann"), |name| client.actor::<Player>(name)).await
}

/// Plays and watches until one of them ends.
async fn live(args: &Args, ann: FriendsRef, player: impl Fn(&str) -> PlayerRef) -> Result<()> {
    for name in NAMES {
        ann.add(name.into()).await?;
    }
    let sessions = NAMES.iter().enumerate().map(|(number, name)| session(player(name), number));
    tokio::select! {
        watched = watch(&ann, args.lines.unwrap_or(usize::MAX)) => watched,
        never = try_join_all(sessions) => never.map(drop),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

/// Prints what becomes of the friends. A stream that breaks off is asked for again.
async fn watch(ann: &FriendsRef, mut lines: usize) -> Result<()> {
    while lines > 0 {
        let mut friends = match ann.watch().await {
            Ok(friends) => friends,
            Err(CallError::Unavailable(_)) => continue,
            Err(error) => bail!(error),
        };
        while let Some(friend) = friends.next().await {
            match friend {
                Ok(Friend { name, place: Some(place) }) => println!("{name} is in the {place}"),
                Ok(Friend { name, place: None }) => println!("{name} is not there"),
                Err(error) => {
                    println!("({error}; asking again)");
                    break;
                }
            }
            lines -= 1;
            if lines == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// The session of a player: a heartbeat a second, another place now and then. Some leave politely, some just break off.
async fn session(player: PlayerRef, number: usize) -> Result<()> {
    for step in number.. {
        let place = PLACES[(step / 2 + number) % PLACES.len()];
        player.heartbeat(place.into()).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if step % 7 == 6 {
            if number.is_multiple_of(2) {
                player.goodbye().await?;
            }
            tokio::time::sleep(SILENCE * 2).await;
        }
    }
    Ok(())
}
