//! A durable turn: its reply leaves when its commit is on disk. Its floor: the same bytes written and synced in groups.

use std::sync::Arc;

use anyhow::Result;
use futures_util::future::try_join_all;
use greenroom::{Actor, Runtime, actor_methods};
use serde::{Deserialize, Serialize};

use super::group::Group;
use crate::measure::{Cost, Rig, Stopwatch, interleaved};
use crate::report::Report;

/// What a record of this type takes in the store: 175 bytes for identity, state and the call with its reply, and its
/// place in the shard.
const RECORD_BYTES: usize = 192;

/// A number on disk.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

#[actor_methods]
impl Account {
    async fn add(&mut self, by: i64) -> i64 {
        self.balance += by;
        self.balance
    }
}

/// What makes something durable on behalf of a numbered caller.
trait Commit: Send + Sync + 'static {
    fn commit(&self, caller: usize) -> impl Future<Output = Result<()>> + Send;
}

/// Each caller calls an actor of its own.
struct Actors(Vec<AccountRef>);

impl Commit for Actors {
    async fn commit(&self, caller: usize) -> Result<()> {
        self.0[caller].add(1).await?;
        Ok(())
    }
}

impl Commit for Group {
    async fn commit(&self, caller: usize) -> Result<()> {
        self.commit(vec![caller as u8; RECORD_BYTES]).await
    }
}

async fn commits(rig: Arc<impl Commit>, callers: u32, each: u32) -> Result<Cost> {
    let stopwatch = Stopwatch::start();
    let tasks = (0..callers as usize).map(|caller| {
        let rig = rig.clone();
        tokio::spawn(async move {
            for _ in 0..each {
                rig.commit(caller).await?;
            }
            anyhow::Ok(())
        })
    });
    for task in try_join_all(tasks).await? {
        task?;
    }
    stopwatch.stop(callers * each)
}

pub(super) async fn run(report: &mut Report, rounds: u32) -> Result<()> {
    let directory = crate::scratch()?;
    let runtime = Runtime::local().actor::<Account>().data_dir(directory.path().join("data")).start().await?;
    let group = Arc::new(Group::start(&directory.path().join("log"))?);

    const FLOOR: &str = "floor: write and fdatasync per group";
    let programs = [
        ("durable turn, 1 caller", 1, 500),
        ("durable turn, 64 callers", 64, 100),
        ("durable turn, 1,024 callers", 1_024, 20),
    ];
    for (program, callers, each) in programs {
        let account = |i| runtime.actor::<Account>(format!("account-{i}"));
        let (actors, group) = (Arc::new(Actors((0..callers).map(account).collect())), group.clone());
        let rigs = vec![
            Rig::new("turn with SQLite", FLOOR, move || commits(actors.clone(), callers, each)),
            Rig::floor(FLOOR, move || commits(group.clone(), callers, each)),
        ];
        interleaved(report, program, rounds, rigs).await?;
    }
    runtime.shutdown().await;
    Ok(())
}
