//! Ticks at a fixed rate: in memory only, and never piled up.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::cast::with_actor;
use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::super::witness;
use super::{By, Kind, Sends, To};

/// The rates, a second.
const RATES: [u32; 4] = [2, 5, 10, 30];

/// Ticks at a rate, and stops when it has begun so many turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beat {
    script: Script,
    hz: u32,
    times: u64,
}

impl Kind for Beat {
    const WEIGHT: u32 = 1;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        draw.at.is_of_one_version().then_some(())?;
        let script = draw.script_that_repeats(draw.at, true)?;
        Some(Self { script, hz: RATES[draw.random.usize(..RATES.len())], times: draw.random.u64(2..6) })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let script = self.script.clone();
        let ticks = with_actor!(turn.who, turn.cx, |me| turn.cx.ticks(self.hz.into(), me.run(script)))?;
        witness::with(|witness| witness.beats(self.script.id, self.times, ticks));
        Ok(())
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        vec![Sends { script: &self.script, to: To::Itself, by: By::Beat { hz: self.hz } }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tick {} times a second, {} times [{}]", self.hz, self.times, self.script)
    }
}
