//! A terminal to chat in: what you type is said, what others say is printed.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use greenroom::Client;
use greenroom_chat::{Line, Member};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

/// How often to look for what others have said.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Chat with whoever else does, on the cluster that `greenroom dev examples/chat/cluster.yaml` runs.
#[derive(Parser)]
struct Args {
    /// Who you are.
    name: String,
    /// The room to join.
    #[arg(default_value = "lobby")]
    room: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Args { name, room } = Args::parse();
    let client =
        Client::dev(".").context("start the cluster first: greenroom dev examples/chat/cluster.yaml")?;
    let me = client.actor::<Member>(&name);
    // What was said while nobody looked is in the history, too.
    me.read().await?;
    for line in me.join(room.clone()).await? {
        print(&line);
    }
    println!("You are {name}, in {room}. Ctrl-D leaves.");
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    while let Some(text) = next_line(&mut typed, || me.read()).await? {
        me.say(room.clone(), text).await?;
    }
    me.leave(room).await?;
    Ok(())
}

/// The next line that is typed, `None` at the end. Until it is there, prints what others say.
async fn next_line<R>(typed: &mut Lines<BufReader<Stdin>>, read: impl Fn() -> R) -> Result<Option<String>>
where
    R: Future<Output = Result<Vec<Line>, greenroom::CallError>>,
{
    loop {
        tokio::select! {
            line = typed.next_line() => return Ok(line?),
            () = tokio::time::sleep(LOOK_EVERY) => read().await?.iter().for_each(print),
        }
    }
}

fn print(Line { room, from, text }: &Line) {
    println!("[{room}] {from}: {text}");
}
