//! Calls of actors that are in memory.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use super::Stage;
use crate::Rig;
use crate::protocol::Sample;
use crate::stopwatch::Stopwatch;

/// Of *ping*, each with an actor of its own.
const PINGING: usize = 100;
/// Of *random*.
const ASKING: usize = 64;
/// But no more than there are asks.
const RANDOM_ACTORS: u64 = 100_000;
/// After so many one-way messages an ask waits until all of them have been taken: no mailbox need hold more.
const UNANSWERED: u64 = 500;

impl<R: Rig> Stage<R> {
    pub(super) async fn ping(&mut self, n: u64) -> Result<Sample> {
        let rig = self.rig.clone();
        let actors = self.actors(PINGING).await?.to_vec();
        let each = n.div_ceil(PINGING as u64);
        let totals = try_join_all(actors.iter().map(|actor| rig.ask(actor, 0))).await?;
        let stopwatch = Stopwatch::start();
        let callers = actors.into_iter().zip(totals).enumerate().map(|(number, (actor, before))| {
            let asking = rig.clone();
            rig.caller(number, async move {
                let mut total = before;
                for _ in 0..each {
                    total = asking.ask(&actor, 1).await?;
                }
                ensure!(total == before + each, "{each} asks have made {before} to {total}");
                Ok(())
            })
        });
        try_join_all(callers).await?;
        Ok(stopwatch.stop(each * PINGING as u64))
    }

    pub(super) async fn random(&mut self, n: u64) -> Result<Sample> {
        if self.named.is_empty() {
            self.keys = (0..RANDOM_ACTORS.min(n)).map(|i| format!("named-{i:06}")).collect();
            for key in self.keys.iter() {
                self.named.push(self.rig.start_named(key).await?);
                self.rig.ask_by_key(key, 0).await?;
            }
        }
        let each = n.div_ceil(ASKING as u64);
        let stopwatch = Stopwatch::start();
        let callers = (0..ASKING).map(|number| {
            let (rig, keys) = (self.rig.clone(), self.keys.clone());
            self.rig.caller(number, async move {
                for _ in 0..each {
                    rig.ask_by_key(&keys[fastrand::usize(..keys.len())], 1).await?;
                }
                Ok(())
            })
        });
        try_join_all(callers).await?;
        Ok(stopwatch.stop(each * ASKING as u64))
    }

    pub(super) async fn one_way(&mut self, n: u64) -> Result<Sample> {
        let rig = self.rig.clone();
        let actor = self.actors(1).await?[0].clone();
        let before = rig.ask(&actor, 0).await?;
        let stopwatch = Stopwatch::start();
        let telling = rig.clone();
        let caller = rig.caller(0, async move {
            for i in 1..=n {
                telling.tell(&actor, 1).await?;
                if i % UNANSWERED == 0 || i == n {
                    let total = telling.ask(&actor, 0).await?;
                    ensure!(total == before + i, "{i} messages have made {before} to {total}");
                }
            }
            Ok(())
        });
        caller.await?;
        Ok(stopwatch.stop(n))
    }

    /// An operation is one fan-out with all its replies.
    pub(super) async fn fan_out(&mut self, n: u64, width: usize) -> Result<Sample> {
        let rig = self.rig.clone();
        let actors = self.actors(width).await?.to_vec();
        let stopwatch = Stopwatch::start();
        let asking = rig.clone();
        let caller = rig.caller(0, async move {
            for _ in 0..n {
                try_join_all(actors.iter().map(|actor| asking.ask(actor, 1))).await?;
            }
            Ok(())
        });
        caller.await?;
        Ok(stopwatch.stop(n))
    }
}
