//! The rigs without a framework: the least that anybody would write by hand, and a bare look-up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use foldhash::fast::RandomState;
use futures_util::future::{BoxFuture, try_join_all};
use tokio::sync::{mpsc, oneshot};
use tokio::time::interval_at;

use crate::{Rig, TICKS_PER_SECOND, Unsupported, ticked};

type Directory<T> = papaya::HashMap<String, T, RandomState>;

/// How much to add, and who wants the total.
type Message = (u64, Option<oneshot::Sender<u64>>);

/// A task per actor, which takes from a channel and answers through a oneshot; a concurrent map from key to channel.
#[derive(Default)]
pub struct Floor(Directory<mpsc::UnboundedSender<Message>>);

impl Rig for Floor {
    type Actor = mpsc::UnboundedSender<Message>;

    async fn start(&self, _key: &str) -> Result<Self::Actor> {
        let (sender, mut messages) = mpsc::unbounded_channel::<Message>();
        tokio::spawn(async move {
            let mut total = 0;
            while let Some((by, reply)) = messages.recv().await {
                total += by;
                if let Some(reply) = reply {
                    // The caller waits for it.
                    let _ = reply.send(total);
                }
            }
        });
        Ok(sender)
    }

    async fn start_named(&self, key: &str) -> Result<Self::Actor> {
        let actor = self.start(key).await?;
        self.0.pin().insert(key.to_owned(), actor.clone());
        Ok(actor)
    }

    async fn ask(&self, actor: &Self::Actor, by: u64) -> Result<u64> {
        let (reply, replied) = oneshot::channel();
        actor.send((by, Some(reply)))?;
        Ok(replied.await?)
    }

    async fn ask_by_key(&self, key: &str, by: u64) -> Result<u64> {
        let actor = self.0.pin().get(key).cloned().with_context(|| format!("there is no {key}"))?;
        self.ask(&actor, by).await
    }

    async fn tell(&self, actor: &Self::Actor, by: u64) -> Result<()> {
        Ok(actor.send((by, None))?)
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        let (reply, replied) = oneshot::channel();
        let root = tree(0, leaves);
        root.send(reply).ok().context("the root has ended")?;
        replied.await?
    }

    async fn ticks(&self, actors: u64) -> Result<()> {
        let period = Duration::from_secs(1) / TICKS_PER_SECOND;
        for i in 0..actors {
            let first = Instant::now() + period.mul_f64(i as f64 / actors as f64);
            tokio::spawn(async move {
                let (mut ticks, mut last) = (interval_at(first.into(), period), None);
                loop {
                    ticks.tick().await;
                    ticked(&mut last);
                }
            });
        }
        Ok(())
    }
}

/// An actor that adds up the numbers of its leaves whenever it is asked.
fn tree(first: u64, leaves: u64) -> mpsc::UnboundedSender<oneshot::Sender<Result<u64>>> {
    let (sender, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<Result<u64>>>();
    // Boxed, because the future of a tree contains those of the trees below it.
    let turns: BoxFuture<'static, ()> = Box::pin(async move {
        while let Some(reply) = asked.recv().await {
            // The caller waits for it.
            let _ = reply.send(sum(first, leaves).await);
        }
    });
    tokio::spawn(turns);
    sender
}

async fn sum(first: u64, leaves: u64) -> Result<u64> {
    if leaves == 1 {
        return Ok(first);
    }
    let below = leaves / 10;
    let sums = (0..10).map(|i| async move {
        let (reply, replied) = oneshot::channel();
        let child = tree(first + i * below, below);
        child.send(reply).ok().context("a child has ended")?;
        replied.await?
    });
    Ok(try_join_all(sums).await?.into_iter().sum())
}

/// A concurrent map from key to number, and no actors.
#[derive(Default)]
pub struct Map(Directory<AtomicU64>);

impl Rig for Map {
    type Actor = ();

    async fn start(&self, key: &str) -> Result<()> {
        self.0.pin().insert(key.to_owned(), AtomicU64::new(0));
        Ok(())
    }

    async fn ask(&self, (): &(), _by: u64) -> Result<u64> {
        Err(Unsupported("a map has keys only").into())
    }

    async fn ask_by_key(&self, key: &str, by: u64) -> Result<u64> {
        let map = self.0.pin();
        let total = map.get(key).with_context(|| format!("there is no {key}"))?;
        Ok(total.fetch_add(by, Ordering::Relaxed) + by)
    }
}
