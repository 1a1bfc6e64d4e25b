//! The actor: a cell of the sky. It ticks from when it comes into memory until it is frozen.

use std::time::Duration;

use greenroom::{Actor, Cx, Result, Ticks, actor_methods};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::bird::{self, Bird, Leaver};
use crate::{Place, Report};

/// How often a cell ticks, per second.
pub const HZ: f64 = 30.0;

/// A cell and its birds; the key is its [`Place`].
///
/// It is volatile: a tick writes nothing, and a cell that loses its node begins anew without birds. A turn of it cannot
/// fail half way, so its state need not be copied before each one.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile, no_rollback, idle_timeout = "1m")]
pub struct Cell {
    birds: Vec<Bird>,
    told: Report,
    #[serde(skip)]
    ticks: Option<Ticks>,
    #[serde(skip)]
    last_tick: Option<Instant>,
}

#[actor_methods]
impl Cell {
    /// Begins to tick.
    #[on_activate]
    async fn begin(&mut self, cx: &Cx) -> Result<()> {
        self.ticks = Some(cx.ticks(HZ, cx.actor::<Self>(cx.key()).step())?);
        Ok(())
    }

    /// Puts so many birds into this cell, in the place of those that are in it.
    pub async fn populate(&mut self, cx: &Cx, birds: u32) -> Result<()> {
        let Place { column, row, side } = cx.key().parse()?;
        let first = (row * side + column) * birds;
        self.birds = (first..first + birds).map(Bird::new).collect();
        Ok(())
    }

    /// A tick: all birds fly on, and those that leave are handed to the neighbours.
    fn step(&mut self, cx: &Cx) -> Result<()> {
        self.note_tick(Instant::now());
        for Leaver { bird, columns, rows } in bird::fly(&mut self.birds) {
            let there = cx.key().parse::<Place>()?.beside(columns, rows);
            cx.tell(cx.actor::<Self>(there.to_string()).arrive(bird))?;
            self.told.crossings += 1;
        }
        Ok(())
    }

    /// A bird comes from a neighbour.
    fn arrive(&mut self, bird: Bird) {
        self.birds.push(bird);
    }

    /// What this cell did since it came into memory.
    pub fn report(&self) -> Report {
        let skipped = self.ticks.as_ref().map_or(self.told.skipped, Ticks::skipped);
        Report { cells: 1, birds: self.birds.len() as u64, skipped, ..self.told }
    }

    /// Stops ticking. After a minute in which nobody calls it, the cell leaves memory.
    pub fn freeze(&mut self) {
        if let Some(ticks) = self.ticks.take() {
            ticks.stop();
            self.told.skipped = ticks.skipped();
        }
    }
}

impl Cell {
    fn note_tick(&mut self, now: Instant) {
        self.told.ticks += 1;
        if let Some(last) = self.last_tick.replace(now) {
            self.told.jitter.note((now - last).abs_diff(Duration::from_secs_f64(HZ.recip())));
        }
    }
}
