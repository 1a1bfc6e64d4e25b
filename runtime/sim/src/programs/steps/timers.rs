//! A timer: it rings at most once, and not at all if the actor leaves memory before.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::cast::with_actor;
use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::{By, Kind, Sends, To};

/// Sets a timer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timer {
    script: Script,
    after_ms: u64,
}

impl Kind for Timer {
    const WEIGHT: u32 = 2;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        draw.at.is_of_one_version().then_some(())?;
        Some(Self { script: draw.script(draw.at)?, after_ms: draw.random.u64(..1_000) })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let (after, script) = (Duration::from_millis(self.after_ms), self.script.clone());
        let timer = with_actor!(turn.who, turn.cx, |me| turn.cx.timer(after, me.run(script)));
        Ok(timer.map(drop)?)
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        vec![Sends { script: &self.script, to: To::Itself, by: By::Timer }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timer in {} ms [{}]", self.after_ms, self.script)
    }
}
