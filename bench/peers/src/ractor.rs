//! ractor: `call` with a reply port, `cast`, `send_interval`; names in its registry.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use greenroom_bench_rig::{Rig, TICKS_PER_SECOND, ticked};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, registry};

pub struct Ractor;

struct Adder;

pub enum Add {
    Ask(u64, RpcReplyPort<u64>),
    Tell(u64),
}

impl Actor for Adder {
    type Msg = Add;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Add>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Add>, add: Add, total: &mut u64) -> Result<(), ActorProcessingErr> {
        match add {
            Add::Ask(by, reply) => {
                *total += by;
                reply.send(*total)?;
            }
            Add::Tell(by) => *total += by,
        }
        Ok(())
    }
}

/// A part of a tree: the number of its first leaf, and how many it has.
struct Tree(u64, u64);

struct Sum(RpcReplyPort<u64>);

impl Actor for Tree {
    type Msg = Sum;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Sum>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, me: ActorRef<Sum>, sum: Sum, (): &mut ()) -> Result<(), ActorProcessingErr> {
        let &Self(first, leaves) = self;
        let total = match leaves {
            1 => first,
            _ => {
                let below = leaves / 10;
                let sums = (0..10).map(|i| sum_of(Tree(first + i * below, below)));
                try_join_all(sums).await?.into_iter().sum()
            }
        };
        sum.0.send(total)?;
        me.stop(None);
        Ok(())
    }
}

/// Not an `async fn`: the type of its future would contain itself.
fn sum_of(tree: Tree) -> futures_util::future::BoxFuture<'static, Result<u64, ActorProcessingErr>> {
    Box::pin(async move {
        let (actor, _) = Actor::spawn(None, tree, ()).await?;
        Ok(call!(actor, Sum)?)
    })
}

struct Ticker;

struct Tick;

impl Actor for Ticker {
    type Msg = Tick;
    type State = Option<Instant>;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Tick>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        me.send_interval(Duration::from_secs(1) / TICKS_PER_SECOND, || Tick);
        Ok(None)
    }

    async fn handle(
        &self,
        _: ActorRef<Tick>,
        Tick: Tick,
        last: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        ticked(last);
        Ok(())
    }
}

impl Rig for Ractor {
    type Actor = ActorRef<Add>;

    async fn start(&self, _key: &str) -> Result<Self::Actor> {
        Ok(Actor::spawn(None, Adder, ()).await?.0)
    }

    async fn start_named(&self, key: &str) -> Result<Self::Actor> {
        Ok(Actor::spawn(Some(key.to_owned()), Adder, ()).await?.0)
    }

    async fn ask(&self, actor: &Self::Actor, by: u64) -> Result<u64> {
        Ok(call!(actor, Add::Ask, by)?)
    }

    async fn ask_by_key(&self, key: &str, by: u64) -> Result<u64> {
        let actor = registry::where_is(key).with_context(|| format!("there is no {key}"))?;
        self.ask(&actor.into(), by).await
    }

    async fn tell(&self, actor: &Self::Actor, by: u64) -> Result<()> {
        Ok(actor.cast(Add::Tell(by))?)
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        sum_of(Tree(0, leaves)).await.map_err(anyhow::Error::from_boxed)
    }

    async fn ticks(&self, actors: u64) -> Result<()> {
        for _ in 0..actors {
            Actor::spawn(None, Ticker, ()).await?;
        }
        Ok(())
    }
}
