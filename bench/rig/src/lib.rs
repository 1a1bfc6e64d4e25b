//! A rig does what the programs of `cargo xtask bench actors` ask with one framework, in a process of its own.
//!
//! The process takes orders from its standard input and answers each with a line, see [`protocol`]. A rig in Rust
//! implements [`Rig`] and calls [`serve`]; the programs themselves are written here once, so that all of them measure
//! the same. Rigs in other languages follow the same protocol and the same programs.

mod floor;
mod programs;
pub mod protocol;
pub mod stopwatch;

pub use floor::{Floor, Map};
pub use programs::ticks::{TICKS_PER_SECOND, ticked};

use std::fmt::{self, Display, Formatter};
use std::future::{Future, ready};

use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, BufReader};

use programs::Stage;
use protocol::{Answer, Order};

/// How one framework does what the programs ask. An actor is a number: a message adds to it, a reply tells the total.
///
/// What a framework lacks stays at its default, which says so.
pub trait Rig: Send + Sync + Sized + 'static {
    /// How a caller names an actor.
    type Actor: Clone + Send + Sync + 'static;

    /// Whether an actor ends when nobody holds a reference to it, or cannot be reached then.
    const NEEDS_REFERENCES: bool = true;

    /// A new actor; a framework that makes actors when they are called just names it.
    fn start(&self, key: &str) -> impl Future<Output = Result<Self::Actor>> + Send;

    /// The same, but its key leads to it, see [`ask_by_key`](Self::ask_by_key).
    fn start_named(&self, key: &str) -> impl Future<Output = Result<Self::Actor>> + Send {
        self.start(key)
    }

    /// Adds, and waits for the total.
    fn ask(&self, actor: &Self::Actor, by: u64) -> impl Future<Output = Result<u64>> + Send;

    /// The same for the actor that was started with this key, in the way of a program that has only the key.
    fn ask_by_key(&self, key: &str, by: u64) -> impl Future<Output = Result<u64>> + Send;

    /// Adds, and waits at most until the message is on its way.
    fn tell(&self, _actor: &Self::Actor, _by: u64) -> impl Future<Output = Result<()>> + Send {
        unsupported("it has no one-way messages")
    }

    /// Makes a tree of actors, ten below each, with so many leaves numbered from 0, and adds up the numbers.
    fn skynet(&self, _leaves: u64) -> impl Future<Output = Result<u64>> + Send {
        unsupported("an actor of it cannot make others")
    }

    /// Makes so many actors that call [`programs::ticked`] at each of their [`programs::TICKS_PER_SECOND`] ticks.
    /// They tick until the process ends.
    fn ticks(&self, _actors: u64) -> impl Future<Output = Result<()>> + Send {
        unsupported("it has no ticks")
    }

    /// Runs a caller where this framework's callers run well.
    fn caller(
        &self,
        _number: usize,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) -> BoxFuture<'static, Result<()>> {
        let caller = tokio::spawn(work);
        async { caller.await? }.boxed()
    }
}

/// The error of what a framework lacks.
#[derive(Debug)]
pub struct Unsupported(pub &'static str);

impl Display for Unsupported {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unsupported {}

fn unsupported<T: Send>(why: &'static str) -> impl Future<Output = Result<T>> + Send {
    ready(Err(Unsupported(why).into()))
}

/// Takes orders from the standard input and answers them on the standard output, until the input ends.
pub async fn serve<R: Rig>(rig: R) -> Result<()> {
    let mut stage = Stage::new(rig);
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await? {
        let order: Order = line.parse().with_context(|| format!("cannot understand {line:?}"))?;
        let answer = match stage.run(order).await {
            Ok(sample) => Answer::Sample(sample),
            Err(error) => match error.downcast_ref::<Unsupported>() {
                Some(why) => Answer::Unsupported { unsupported: why.to_string() },
                None => Answer::Failed { error: format!("{error:#}") },
            },
        };
        println!("{}", serde_json::to_string(&answer)?);
    }
    Ok(())
}
