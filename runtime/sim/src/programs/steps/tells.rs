//! A message that leaves when the turn is committed, and may be lost.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::cast::{Who, with_actor};
use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::{By, Kind, Sends, To};

/// Tells anybody, also oneself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tell {
    to: Who,
    script: Script,
}

impl Kind for Tell {
    const WEIGHT: u32 = 4;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let to = draw.anyone();
        Some(Self { to, script: draw.script(to)? })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        turn.tells(self.to, &self.script);
        Ok(with_actor!(self.to, turn.cx, |actor| turn.cx.tell(actor.run(self.script.clone())))?)
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        vec![Sends { script: &self.script, to: To::Other(self.to), by: By::Tell }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tell [{} {}]", self.to, self.script)
    }
}
