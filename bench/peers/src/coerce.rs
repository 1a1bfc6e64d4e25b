//! Coerce: `send` and `notify` of local actors in one system, timers; names among its tracked actors.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_trait::async_trait;
use coerce::actor::context::ActorContext;
use coerce::actor::message::{Handler, Message};
use coerce::actor::scheduler::timer::{Timer, TimerTick};
use coerce::actor::system::ActorSystem;
use coerce::actor::{Actor, ActorRefErr, LocalActorRef};
use futures_util::future::{BoxFuture, try_join_all};
use greenroom_bench_rig::{Rig, TICKS_PER_SECOND, ticked};

pub struct Coerce(ActorSystem);

impl Coerce {
    pub fn new() -> Self {
        Self(ActorSystem::new())
    }
}

#[derive(Default)]
pub struct Adder {
    total: u64,
}

impl Actor for Adder {}

struct Add(u64);

impl Message for Add {
    type Result = u64;
}

#[async_trait]
impl Handler<Add> for Adder {
    async fn handle(&mut self, Add(by): Add, _: &mut ActorContext) -> u64 {
        self.total += by;
        self.total
    }
}

/// A part of a tree: the number of its first leaf, and how many it has.
struct Tree(u64, u64);

impl Actor for Tree {}

struct Sum;

impl Message for Sum {
    type Result = Result<u64, ActorRefErr>;
}

#[async_trait]
impl Handler<Sum> for Tree {
    async fn handle(&mut self, _: Sum, cx: &mut ActorContext) -> Result<u64, ActorRefErr> {
        let &mut Self(first, leaves) = self;
        if leaves == 1 {
            return Ok(first);
        }
        let below = leaves / 10;
        let system = cx.system();
        let sums = (0..10).map(|i| sum_of(system.clone(), Tree(first + i * below, below)));
        Ok(try_join_all(sums).await?.into_iter().sum())
    }
}

/// Not an `async fn`: the type of its future would contain itself.
fn sum_of(system: ActorSystem, tree: Tree) -> BoxFuture<'static, Result<u64, ActorRefErr>> {
    Box::pin(async move {
        let actor = system.new_anon_actor(tree).await?;
        let sum = actor.send(Sum).await??;
        actor.notify_stop()?;
        Ok(sum)
    })
}

#[derive(Default)]
struct Ticker {
    last: Option<Instant>,
    timer: Option<Timer>,
}

#[async_trait]
impl Actor for Ticker {
    async fn started(&mut self, cx: &mut ActorContext) {
        let period = Duration::from_secs(1) / TICKS_PER_SECOND;
        self.timer = Some(Timer::start(self.actor_ref(cx), period, Tick));
    }
}

#[derive(Clone)]
struct Tick;

impl Message for Tick {
    type Result = ();
}

impl TimerTick for Tick {}

#[async_trait]
impl Handler<Tick> for Ticker {
    async fn handle(&mut self, _: Tick, _: &mut ActorContext) {
        ticked(&mut self.last);
    }
}

impl Rig for Coerce {
    type Actor = LocalActorRef<Adder>;

    async fn start(&self, _key: &str) -> Result<Self::Actor> {
        Ok(self.0.new_anon_actor(Adder::default()).await?)
    }

    async fn start_named(&self, key: &str) -> Result<Self::Actor> {
        let kind = coerce::actor::scheduler::ActorType::Tracked;
        Ok(self.0.new_actor(key.to_owned(), Adder::default(), kind).await?)
    }

    async fn ask(&self, actor: &Self::Actor, by: u64) -> Result<u64> {
        Ok(actor.send(Add(by)).await?)
    }

    async fn ask_by_key(&self, key: &str, by: u64) -> Result<u64> {
        let actor =
            self.0.get_tracked_actor(key.into()).await.with_context(|| format!("there is no {key}"))?;
        self.ask(&actor, by).await
    }

    async fn tell(&self, actor: &Self::Actor, by: u64) -> Result<()> {
        Ok(actor.notify(Add(by))?)
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        Ok(sum_of(self.0.clone(), Tree(0, leaves)).await?)
    }

    async fn ticks(&self, actors: u64) -> Result<()> {
        for _ in 0..actors {
            // Its timer holds a reference to it.
            self.0.new_anon_actor(Ticker::default()).await?;
        }
        Ok(())
    }
}
