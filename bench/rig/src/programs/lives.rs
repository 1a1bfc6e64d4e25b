//! Actors that come into memory: how fast, and how much of it they take.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use super::Stage;
use crate::Rig;
use crate::protocol::Sample;
use crate::stopwatch::{Stopwatch, resident_bytes};

const CALLERS: usize = 64;
/// What an actor here has as its state: one number.
const STATE_BYTES: u64 = 8;

impl<R: Rig> Stage<R> {
    /// An operation is an actor.
    pub(super) async fn activation(&mut self, n: u64) -> Result<Sample> {
        let each = n.div_ceil(CALLERS as u64);
        let run = self.runs;
        let keys = |number| (0..each).map(move |i| format!("cold-{run}-{number}-{i}")).collect::<Vec<_>>();
        let keys: Vec<_> = (0..CALLERS).map(keys).collect();
        let stopwatch = Stopwatch::start();
        let callers = keys.into_iter().enumerate().map(|(number, keys)| {
            let rig = self.rig.clone();
            self.rig.caller(number, async move {
                let mut actors = Vec::new();
                for key in &keys {
                    let actor = rig.start(key).await?;
                    ensure!(rig.ask(&actor, 1).await? == 1, "{key} is not a new actor");
                    if R::NEEDS_REFERENCES {
                        actors.push(actor);
                    }
                }
                // Their end is not measured, and the process will not last long.
                std::mem::forget(actors);
                Ok(())
            })
        });
        try_join_all(callers).await?;
        Ok(stopwatch.stop(each * CALLERS as u64))
    }

    pub(super) async fn idle(&mut self, n: u64) -> Result<Sample> {
        let (rig, run) = (self.rig.clone(), self.runs);
        rig.ask(&rig.start(&format!("first-{run}")).await?, 1).await?;
        let stopwatch = Stopwatch::start();
        let before = resident_bytes()?;
        let mut actors = Vec::new();
        for i in 0..n {
            let actor = rig.start(&format!("idle-{run}-{i:07}")).await?;
            rig.ask(&actor, 1).await?;
            if R::NEEDS_REFERENCES {
                actors.push(actor);
            }
        }
        let grown = resident_bytes()?.saturating_sub(before);
        let sample = stopwatch.stop(n);
        let references = (actors.len() * size_of::<R::Actor>()) as u64;
        std::mem::forget(actors);
        let bytes = grown.saturating_sub(references) / n.max(1);
        Ok(Sample { bytes: Some(bytes.saturating_sub(STATE_BYTES)), ..sample })
    }

    /// An operation is the whole tree.
    pub(super) async fn skynet(&mut self, leaves: u64) -> Result<Sample> {
        let rig = self.rig.clone();
        let stopwatch = Stopwatch::start();
        let sum = rig.skynet(leaves).await?;
        let sample = stopwatch.stop(1);
        ensure!(sum == leaves * (leaves - 1) / 2, "the numbers below {leaves} do not add up to {sum}");
        Ok(sample)
    }
}
