//! The programs: the same work for every rig.

mod asks;
mod hot;
mod lives;
pub(crate) mod ticks;

use std::sync::Arc;

use anyhow::Result;

use crate::Rig;
use crate::protocol::{Order, Program, Sample};

/// A rig with the actors that its programs have used so far: they are made once, and outside of what is measured.
pub(crate) struct Stage<R: Rig> {
    rig: Arc<R>,
    actors: Vec<R::Actor>,
    /// Those that are called by their key, and the keys.
    named: Vec<R::Actor>,
    keys: Arc<[String]>,
    runs: u32,
}

impl<R: Rig> Stage<R> {
    pub(crate) fn new(rig: R) -> Self {
        Self { rig: Arc::new(rig), actors: Vec::new(), named: Vec::new(), keys: Arc::default(), runs: 0 }
    }

    pub(crate) async fn run(&mut self, Order { program, n }: Order) -> Result<Sample> {
        self.runs += 1;
        match program {
            Program::Ping => self.ping(n).await,
            Program::Hot => self.hot(n).await,
            Program::Random => self.random(n).await,
            Program::OneWay => self.one_way(n).await,
            Program::FanOut10 => self.fan_out(n, 10).await,
            Program::FanOut1000 => self.fan_out(n, 1_000).await,
            Program::Skynet => self.skynet(n).await,
            Program::Activation => self.activation(n).await,
            Program::Idle => self.idle(n).await,
            Program::Ticks => self.ticks(n, ticks::MEASURED).await,
        }
    }

    /// The first so many actors.
    async fn actors(&mut self, count: usize) -> Result<&[R::Actor]> {
        for i in self.actors.len()..count {
            self.actors.push(self.rig.start(&format!("actor-{i}")).await?);
        }
        Ok(&self.actors[..count])
    }
}

#[cfg(test)]
mod tests;
