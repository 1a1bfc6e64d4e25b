//! Actix: `send`, `do_send` and `run_interval`. An actor lives on one thread, an arbiter, of which there is one per
//! core here; callers run on them too, as the handlers of an Actix program do.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix::prelude::*;
use anyhow::{Context as _, Result};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};
use greenroom_bench_rig::{Rig, TICKS_PER_SECOND, serve, ticked};
use tokio::sync::oneshot;

use crate::names::Names;

pub fn main() -> Result<()> {
    System::new().block_on(serve(Actix::new()))
}

struct Actix {
    arbiters: Vec<ArbiterHandle>,
    /// How many actors there have been.
    started: AtomicUsize,
    names: Names<Addr<Adder>>,
}

impl Actix {
    fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // They run as long as the process.
        let arbiters = (0..cores).map(|_| Arbiter::new().handle()).collect();
        Self { arbiters, started: AtomicUsize::new(0), names: Names::default() }
    }

    fn arbiter(&self, number: usize) -> &ArbiterHandle {
        &self.arbiters[number % self.arbiters.len()]
    }

    fn next_arbiter(&self) -> &ArbiterHandle {
        self.arbiter(self.started.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Adder {
    total: u64,
}

impl Actor for Adder {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(u64)]
struct Add(u64);

impl Handler<Add> for Adder {
    type Result = u64;

    fn handle(&mut self, Add(by): Add, _: &mut Context<Self>) -> u64 {
        self.total += by;
        self.total
    }
}

/// A part of a tree: the number of its first leaf, and how many it has. The trees below the root are on all arbiters,
/// those below them on the arbiter of their parent.
struct Tree {
    first: u64,
    leaves: u64,
    arbiters: Vec<ArbiterHandle>,
}

impl Actor for Tree {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "Result<u64, MailboxError>")]
struct Sum;

impl Handler<Sum> for Tree {
    type Result = ResponseFuture<Result<u64, MailboxError>>;

    fn handle(&mut self, _: Sum, _: &mut Context<Self>) -> Self::Result {
        let (first, leaves) = (self.first, self.leaves);
        if leaves == 1 {
            return Box::pin(std::future::ready(Ok(first)));
        }
        let below = leaves / 10;
        let sums = (0..10).map(|i| {
            let child = Tree { first: first + i * below, leaves: below, arbiters: Vec::new() };
            let child = match self.arbiters.get(i as usize % self.arbiters.len().max(1)) {
                Some(arbiter) => Tree::start_in_arbiter(arbiter, |_| child),
                None => child.start(),
            };
            async move { child.send(Sum).await? }
        });
        let sums = try_join_all(sums);
        Box::pin(async { Ok(sums.await?.into_iter().sum()) })
    }
}

struct Ticker(Option<Instant>);

impl Actor for Ticker {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Context<Self>) {
        cx.run_interval(Duration::from_secs(1) / TICKS_PER_SECOND, |ticker, _| ticked(&mut ticker.0));
    }
}

impl Rig for Actix {
    type Actor = Addr<Adder>;

    async fn start(&self, _key: &str) -> Result<Self::Actor> {
        Ok(Adder::start_in_arbiter(self.next_arbiter(), |_| Adder::default()))
    }

    async fn start_named(&self, key: &str) -> Result<Self::Actor> {
        let actor = self.start(key).await?;
        self.names.insert(key, actor.clone());
        Ok(actor)
    }

    async fn ask(&self, actor: &Self::Actor, by: u64) -> Result<u64> {
        Ok(actor.send(Add(by)).await?)
    }

    async fn ask_by_key(&self, key: &str, by: u64) -> Result<u64> {
        self.ask(&self.names.get(key)?, by).await
    }

    async fn tell(&self, actor: &Self::Actor, by: u64) -> Result<()> {
        actor.do_send(Add(by));
        Ok(())
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        let tree = Tree { first: 0, leaves, arbiters: self.arbiters.clone() };
        Ok(Tree::start_in_arbiter(self.next_arbiter(), |_| tree).send(Sum).await??)
    }

    async fn ticks(&self, actors: u64) -> Result<()> {
        for _ in 0..actors {
            Ticker::start_in_arbiter(self.next_arbiter(), |_| Ticker(None));
        }
        Ok(())
    }

    fn caller(
        &self,
        number: usize,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) -> BoxFuture<'static, Result<()>> {
        let (done, outcome) = oneshot::channel();
        // Actors are dealt out in turns; so of the callers with an actor each only some are on their actor's thread, and
        // the first caller is not, as where nobody chooses.
        let arbiter = self.arbiter(number / self.arbiters.len() + 1);
        arbiter.spawn(async move {
            // It is waited for.
            let _ = done.send(work.await);
        });
        async { outcome.await.context("the arbiter has ended")? }.boxed()
    }
}
