//! The rig that all this is about: actors of Greenroom, called by identity, with everything on that is on by default.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use greenroom::{Actor, Cx, Runtime, actor_methods};
use greenroom_bench_rig::{Rig, TICKS_PER_SECOND, ticked};
use serde::{Deserialize, Serialize};

/// A number in memory.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
struct Pinger {
    total: u64,
}

#[actor_methods]
impl Pinger {
    async fn ping(&mut self, by: u64) -> u64 {
        self.total += by;
        self.total
    }

    /// The same in a method that cannot wait for anything.
    fn plain(&mut self, by: u64) -> u64 {
        self.total += by;
        self.total
    }
}

/// A part of a tree: what it adds up is in the call.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
struct Skynet {}

#[actor_methods]
impl Skynet {
    async fn sum(&mut self, cx: &Cx, run: u64, first: u64, leaves: u64) -> greenroom::Result<u64> {
        if leaves == 1 {
            return Ok(first);
        }
        let below = leaves / 10;
        let sums = (0..10).map(|i| {
            let first = first + i * below;
            cx.actor::<Skynet>(skynet_key(run, first, below)).sum(run, first, below)
        });
        Ok(try_join_all(sums).await?.into_iter().sum())
    }
}

/// Ticks, and notes when.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
struct Ticker {
    #[serde(skip)]
    last: Option<Instant>,
}

#[actor_methods]
impl Ticker {
    async fn start(&mut self, cx: &Cx) -> greenroom::Result<()> {
        cx.ticks(TICKS_PER_SECOND.into(), cx.actor::<Self>(cx.key()).tick())?;
        Ok(())
    }

    fn tick(&mut self) {
        ticked(&mut self.last);
    }
}

/// Each run has a tree of its own: its actors are new.
fn skynet_key(run: u64, first: u64, leaves: u64) -> String {
    format!("{run}-{leaves}-{first}")
}

/// Long enough for a million actors on a busy machine.
const SKYNET_TIMEOUT: Duration = Duration::from_secs(300);

/// A node in this process, its state in memory.
pub(super) struct Greenroom {
    runtime: Runtime,
    /// Whether it calls the method that is no `async fn`.
    plain: bool,
    skynets: AtomicU64,
}

impl Greenroom {
    pub(super) async fn start(plain: bool) -> Result<Self> {
        let runtime = Runtime::local().actor::<Pinger>().actor::<Skynet>().actor::<Ticker>().start().await?;
        Ok(Self { runtime, plain, skynets: AtomicU64::new(0) })
    }
}

impl Rig for Greenroom {
    /// Its key.
    type Actor = Arc<str>;

    const NEEDS_REFERENCES: bool = false;

    async fn start(&self, key: &str) -> Result<Self::Actor> {
        Ok(key.into())
    }

    async fn ask(&self, actor: &Self::Actor, by: u64) -> Result<u64> {
        self.ask_by_key(actor, by).await
    }

    async fn ask_by_key(&self, key: &str, by: u64) -> Result<u64> {
        let pinger = self.runtime.actor::<Pinger>(key);
        Ok(if self.plain { pinger.plain(by).await? } else { pinger.ping(by).await? })
    }

    async fn tell(&self, actor: &Self::Actor, by: u64) -> Result<()> {
        let pinger = self.runtime.actor::<Pinger>(actor);
        let told = if self.plain { pinger.plain(by).tell() } else { pinger.ping(by).tell() };
        Ok(told?)
    }

    async fn ticks(&self, actors: u64) -> Result<()> {
        for number in 0..actors {
            self.runtime.actor::<Ticker>(number.to_string()).start().await?;
        }
        Ok(())
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        let run = self.skynets.fetch_add(1, Ordering::Relaxed);
        let root = self.runtime.actor::<Skynet>(skynet_key(run, 0, leaves));
        Ok(root.sum(run, 0, leaves).timeout(SKYNET_TIMEOUT).await?)
    }
}
