//! A call that a stateless worker carries: it remembers nothing, so who is called at last must see a repeated call as one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::actors::Porter;
use super::super::cast::Who;
use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::super::witness;
use super::{By, Kind, Sends, To};

/// Lets a porter call somebody. If that fails, the turn goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Carry {
    to: Who,
    script: Script,
}

impl Kind for Carry {
    const WEIGHT: u32 = 3;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let to = draw.later()?;
        Some(Self { to, script: draw.script(to)? })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        witness::with(|witness| witness.leaves(self.script.id, turn.who, turn.before));
        let porter = turn.cx.actor::<Porter>("station");
        if let Ok(reply) = porter.carry(self.to, self.script.clone()).await.map_err(Failed::from) {
            witness::with(|witness| witness.is_carried(self.to, reply.line));
        }
        Ok(())
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        vec![Sends { script: &self.script, to: To::Other(self.to), by: By::Call }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Carry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "have carried [{} {}]", self.to, self.script)
    }
}
