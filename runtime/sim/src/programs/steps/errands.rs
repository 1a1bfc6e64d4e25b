//! A workflow, started if and only if the turn is committed: each of its steps is applied once, one after the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::draw::Draw;
use super::super::errand::{Leg, errand};
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::{By, Kind, Sends, To};

/// Starts an errand of its own name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Errand {
    legs: Vec<Leg>,
}

impl Kind for Errand {
    const WEIGHT: u32 = 3;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        if !draw.at.is_durable() {
            return None;
        }
        let legs: Option<Vec<_>> = (0..draw.random.u8(1..=3)).map(|_| leg(draw)).collect();
        Some(Self { legs: legs? })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let name = self.legs.first().map_or(0, |leg| leg.script.id).to_string();
        Ok(turn.cx.reliable(turn.cx.workflow::<errand>(name).start(self.legs.clone()))?)
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        let behind = [None].into_iter().chain(self.legs.iter().map(|leg| Some(leg.script.id)));
        let legs = self.legs.iter().zip(behind);
        legs.map(|(Leg { to, script, .. }, behind)| Sends { script, to: To::Other(*to), by: By::Step { behind } })
            .collect()
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        self.legs.iter_mut().map(|leg| &mut leg.script).collect()
    }
}

fn leg(draw: &mut Draw<'_>) -> Option<Leg> {
    let to = draw.anyone();
    // Some rest for so long that the workflow leaves memory meanwhile.
    let rest_ms = match draw.random.u8(..6) {
        0 => Some(draw.random.u64(..15_000)),
        1 => Some(draw.random.u64(..500)),
        _ => None,
    };
    Some(Leg { to, script: draw.script(to)?, rest_ms })
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errand")?;
        for Leg { to, script, rest_ms } in &self.legs {
            if let Some(ms) = rest_ms {
                write!(f, " rest {ms} ms")?;
            }
            write!(f, " [{to} {script}]")?;
        }
        Ok(())
    }
}
