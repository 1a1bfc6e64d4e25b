//! A message that is part of the turn's commit and is applied exactly once.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::cast::{Who, with_actor};
use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::{By, Kind, Sends, To};

/// Sends reliably, now or with a delay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reliable {
    to: Who,
    script: Script,
    delay_ms: Option<u64>,
}

impl Kind for Reliable {
    const WEIGHT: u32 = 5;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        if !draw.at.is_durable() {
            return None;
        }
        let to = draw.anyone();
        let delay_ms = (draw.random.u8(..3) == 0).then(|| draw.random.u64(..3_000));
        Some(Self { to, script: draw.script(to)?, delay_ms })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let script = self.script.clone();
        with_actor!(self.to, turn.cx, |actor| match self.delay_ms {
            None => turn.cx.reliable(actor.run(script))?,
            Some(ms) => turn.cx.reliable_after(Duration::from_millis(ms), actor.run(script))?,
        });
        Ok(())
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        let by = if self.delay_ms.is_some() { By::Delayed } else { By::Reliable };
        vec![Sends { script: &self.script, to: To::Other(self.to), by }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Reliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.delay_ms {
            Some(ms) => write!(f, "reliably after {ms} ms [{} {}]", self.to, self.script),
            None => write!(f, "reliably [{} {}]", self.to, self.script),
        }
    }
}
