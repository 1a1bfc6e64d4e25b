//! kameo: `ask` and `tell` with the mailbox of 64 that is its default; names in its registry.

use anyhow::{Context, Result};
use futures_util::future::{BoxFuture, try_join_all};
use greenroom_bench_rig::Rig;
use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::message::{Context as Cx, Message};

pub struct Kameo;

#[derive(Actor, Default)]
pub struct Adder {
    total: u64,
}

struct Add(u64);

impl Message<Add> for Adder {
    type Reply = u64;

    async fn handle(&mut self, Add(by): Add, _: &mut Cx<Self, u64>) -> u64 {
        self.total += by;
        self.total
    }
}

/// A part of a tree: the number of its first leaf, and how many it has.
#[derive(Actor)]
struct Tree(u64, u64);

struct Sum;

impl Message<Sum> for Tree {
    type Reply = Result<u64, String>;

    async fn handle(&mut self, Sum: Sum, _: &mut Cx<Self, Self::Reply>) -> Self::Reply {
        let &mut Self(first, leaves) = self;
        if leaves == 1 {
            return Ok(first);
        }
        let below = leaves / 10;
        let sums = (0..10).map(|i| sum_of(Tree(first + i * below, below)));
        Ok(try_join_all(sums).await?.into_iter().sum())
    }
}

/// Not an `async fn`: the type of its future would contain itself. The actor ends with its last reference.
fn sum_of(tree: Tree) -> BoxFuture<'static, Result<u64, String>> {
    Box::pin(async move {
        let actor = Tree::spawn(tree);
        actor.ask(Sum).await.map_err(|error| error.to_string())
    })
}

impl Rig for Kameo {
    type Actor = ActorRef<Adder>;

    async fn start(&self, _key: &str) -> Result<Self::Actor> {
        Ok(Adder::spawn(Adder::default()))
    }

    async fn start_named(&self, key: &str) -> Result<Self::Actor> {
        let actor = self.start(key).await?;
        actor.register(key.to_owned())?;
        Ok(actor)
    }

    async fn ask(&self, actor: &Self::Actor, by: u64) -> Result<u64> {
        Ok(actor.ask(Add(by)).await?)
    }

    async fn ask_by_key(&self, key: &str, by: u64) -> Result<u64> {
        let actor = ActorRef::lookup(key)?.with_context(|| format!("there is no {key}"))?;
        self.ask(&actor, by).await
    }

    async fn tell(&self, actor: &Self::Actor, by: u64) -> Result<()> {
        Ok(actor.tell(Add(by)).await?)
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        sum_of(Tree(0, leaves)).await.map_err(anyhow::Error::msg)
    }
}
