//! An ask in process: a typed call of an actor in memory, and its floor, a task and a channel per actor.

use std::sync::Arc;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use greenroom::{Actor, Runtime, actor_methods};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::measure::{Cost, Rig, Stopwatch, interleaved};
use crate::report::Report;

const ASKS: u32 = 200_000;
const CALLERS: u32 = 64;
const ACTORS: usize = 1_000;

/// A number in memory.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
struct Adder {
    total: i64,
}

#[actor_methods]
impl Adder {
    async fn add(&mut self, by: i64) -> i64 {
        self.total += by;
        self.total
    }
}

/// Whom to ask, by number.
trait Ask: Send + Sync + 'static {
    fn add(&self, actor: usize, by: i64) -> impl Future<Output = Result<i64>> + Send;
}

/// The reference is made for each call, as a program does that gets keys from its users.
struct ByIdentity {
    runtime: Runtime,
    keys: Vec<String>,
}

impl Ask for ByIdentity {
    async fn add(&self, actor: usize, by: i64) -> Result<i64> {
        Ok(self.runtime.actor::<Adder>(&self.keys[actor]).add(by).await?)
    }
}

/// The reference is made once.
struct ByReference(Vec<AdderRef>);

impl Ask for ByReference {
    async fn add(&self, actor: usize, by: i64) -> Result<i64> {
        Ok(self.0[actor].add(by).await?)
    }
}

/// A task per actor, which takes from a channel and answers through a oneshot.
struct Tasks(Vec<mpsc::UnboundedSender<(i64, oneshot::Sender<i64>)>>);

impl Tasks {
    fn start() -> Self {
        let start = |_| {
            let (sender, mut asked) = mpsc::unbounded_channel::<(i64, oneshot::Sender<i64>)>();
            tokio::spawn(async move {
                let mut total = 0;
                while let Some((by, reply)) = asked.recv().await {
                    total += by;
                    // The caller waits for it.
                    let _ = reply.send(total);
                }
            });
            sender
        };
        Self((0..ACTORS).map(start).collect())
    }
}

impl Ask for Tasks {
    async fn add(&self, actor: usize, by: i64) -> Result<i64> {
        let (reply, replied) = oneshot::channel();
        self.0[actor].send((by, reply))?;
        Ok(replied.await?)
    }
}

/// One caller asks one actor, one ask after the other.
async fn sequential(rig: Arc<impl Ask>) -> Result<Cost> {
    let before = rig.add(0, 0).await?;
    let stopwatch = Stopwatch::start();
    for _ in 0..ASKS {
        rig.add(0, 1).await?;
    }
    let cost = stopwatch.stop(ASKS);
    ensure!(rig.add(0, 0).await? == before + i64::from(ASKS), "asks were lost or applied twice");
    cost
}

/// Many callers, each asks one random actor after the other.
async fn concurrent(rig: Arc<impl Ask>) -> Result<Cost> {
    let stopwatch = Stopwatch::start();
    let callers = (0..CALLERS).map(|_| {
        let rig = rig.clone();
        tokio::spawn(async move {
            for _ in 0..ASKS / CALLERS {
                rig.add(fastrand::usize(..ACTORS), 1).await?;
            }
            anyhow::Ok(())
        })
    });
    for caller in try_join_all(callers).await? {
        caller?;
    }
    stopwatch.stop(ASKS / CALLERS * CALLERS)
}

pub(super) async fn run(report: &mut Report, rounds: u32) -> Result<()> {
    let runtime = Runtime::local().actor::<Adder>().start().await?;
    let keys: Vec<String> = (0..ACTORS).map(|i| format!("actor-{i}")).collect();
    let references = keys.iter().map(|key| runtime.actor::<Adder>(key)).collect();
    let by_identity = Arc::new(ByIdentity { runtime: runtime.clone(), keys });
    let (by_reference, tasks) = (Arc::new(ByReference(references)), Arc::new(Tasks::start()));

    const FLOOR: &str = "floor: a task and a channel per actor";
    let (identity, reference, floor) = (by_identity.clone(), by_reference.clone(), tasks.clone());
    let rigs = vec![
        Rig::new("by identity", FLOOR, move || sequential(identity.clone())),
        Rig::new("by a kept reference", FLOOR, move || sequential(reference.clone())),
        Rig::floor(FLOOR, move || sequential(floor.clone())),
    ];
    interleaved(report, "ask in process, 1 caller", rounds, rigs).await?;
    let rigs = vec![
        Rig::new("by identity", FLOOR, move || concurrent(by_identity.clone())),
        Rig::new("by a kept reference", FLOOR, move || concurrent(by_reference.clone())),
        Rig::floor(FLOOR, move || concurrent(tasks.clone())),
    ];
    interleaved(report, "ask in process, 64 callers, 1,000 actors", rounds, rigs).await?;
    runtime.shutdown().await;
    Ok(())
}
