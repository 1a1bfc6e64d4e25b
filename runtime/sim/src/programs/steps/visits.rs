//! A call that comes back to the actor that has lent its state to this chain of calls, and runs inside its turn.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::cast::{Who, with_actor};
use super::super::draw::Draw;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::super::witness;
use super::{By, Kind, Sends, To};

/// Comes back to the host. If it is not let in, or fails there, this turn goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Visit {
    host: Who,
    script: Script,
    timeout_ms: Option<u64>,
}

impl Kind for Visit {
    /// Only who is lent a state draws one.
    const WEIGHT: u32 = 0;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let (host, script) = draw.script_of_visit()?;
        let timeout_ms = (draw.random.u8(..5) == 0 && !draw.calm).then(|| draw.random.u64(1..200));
        Some(Self { host, script, timeout_ms })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let patience = self.timeout_ms.map_or(Duration::from_secs(60), Duration::from_millis);
        witness::with(|witness| witness.leaves(self.script.id, turn.who, turn.before));
        let script = self.script.clone();
        let outcome =
            with_actor!(self.host, turn.cx, |host| host.visit(script).timeout(patience).await);
        witness::with(|witness| witness.has_visited(self.host, &self.script, &outcome));
        Ok(())
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        vec![Sends { script: &self.script, to: To::Other(self.host), by: By::Visit }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "visit [{} {}", self.host, self.script)?;
        if let Some(timeout_ms) = self.timeout_ms {
            write!(f, " within {timeout_ms} ms")?;
        }
        write!(f, "]")
    }
}
