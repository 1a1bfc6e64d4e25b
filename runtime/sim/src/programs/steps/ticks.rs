//! The first step of what a reminder runs: it counts, and its last tick ends the reminder.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::draw::Draw;
use super::super::model::Model;
use super::super::script::PartId;
use super::super::stage::{Failed, Heard, Stage, Turn};
use super::Kind;

/// A tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tick {
    pub(crate) reminder: PartId,
    /// How many there are to be; `None`: the schedule ends by itself.
    pub(crate) last: Option<u32>,
}

/// The name of a reminder.
pub(crate) fn name(reminder: PartId) -> String {
    format!("r{reminder}")
}

impl Kind for Tick {
    const WEIGHT: u32 = 0;

    fn draw(_draw: &mut Draw<'_>) -> Option<Self> {
        None
    }

    async fn play<S: Stage>(&self, stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let ticks = stage.page().ticks.entry(self.reminder).or_default();
        *ticks += 1;
        if Some(*ticks) == self.last {
            turn.cx.forget_reminder(&name(self.reminder))?;
        }
        Ok(())
    }

    fn expect(&self, model: &mut Model, _heard: &[Heard]) {
        *model.ticks.entry(self.reminder).or_default() += 1;
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tick")
    }
}
