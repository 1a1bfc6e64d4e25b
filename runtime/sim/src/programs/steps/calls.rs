//! Calls in the middle of a turn: one, or several together. They are not part of the turn's transaction.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::super::cast::{Who, with_actor};
use super::super::draw::Draw;
use super::super::model::Model;
use super::super::script::Script;
use super::super::stage::{Failed, Heard, Line, Stage, Turn};
use super::super::witness;
use super::{By, Kind, Sends, To};

/// Calls others and waits for all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calls {
    calls: Vec<One>,
    /// The turn goes on if one fails.
    catches: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct One {
    to: Who,
    /// `None`: it only looks.
    script: Option<Script>,
    timeout_ms: Option<u64>,
}

impl Kind for Calls {
    const WEIGHT: u32 = 5;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let count = if draw.random.u8(..3) == 0 { 2 } else { 1 };
        let calls: Option<Vec<_>> = (0..count).map(|_| One::draw(draw)).collect();
        Some(Self { calls: calls?, catches: draw.random.bool() })
    }

    async fn play<S: Stage>(&self, stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let calls = self.calls.iter().map(|one| one.call(turn).boxed());
        for (one, outcome) in self.calls.iter().zip(join_all(calls).await) {
            let Some(script) = &one.script else { continue };
            match outcome {
                Ok(line) => stage.page().heard.push(Heard { part: script.id, line: Some(line) }),
                Err(_) if self.catches => stage.page().heard.push(Heard { part: script.id, line: None }),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What was heard is in the state too: the last cell counts good answers and bad ones.
    fn expect(&self, model: &mut Model, heard: &[Heard]) {
        for script in self.calls.iter().filter_map(|one| one.script.as_ref()) {
            let heard = heard.iter().find(|heard| heard.part == script.id);
            model.heard.push(heard.cloned().unwrap_or(Heard { part: script.id, line: None }));
        }
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        let scripts = self.calls.iter().filter_map(|one| Some((one.script.as_ref()?, one.to)));
        scripts.map(|(script, to)| Sends { script, to: To::Other(to), by: By::Call }).collect()
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        self.calls.iter_mut().filter_map(|one| one.script.as_mut()).collect()
    }

    fn dooms(&self) -> bool {
        let doomed = |one: &One| one.script.as_ref().is_some_and(Script::is_doomed);
        !self.catches && self.calls.iter().any(doomed)
    }

    fn is_sure(&self) -> bool {
        self.catches
    }
}

impl One {
    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let to = draw.later()?;
        let script = if draw.random.u8(..5) == 0 { None } else { Some(draw.script(to)?) };
        let timeout_ms = (draw.random.u8(..6) == 0 && !draw.calm).then(|| draw.random.u64(1..200));
        Some(Self { to, script, timeout_ms })
    }

    async fn call(&self, turn: &Turn<'_>) -> Result<Line, Failed> {
        let patience = self.timeout_ms.map_or(Duration::from_secs(60), Duration::from_millis);
        let Some(script) = &self.script else {
            let look = with_actor!(self.to, turn.cx, |actor| actor.look().timeout(patience).await)?;
            witness::with(|witness| witness.look_is_told(self.to, &look));
            return Ok(look.page.line);
        };
        witness::with(|witness| witness.leaves(script.id, turn.who, turn.before));
        let script = script.clone();
        let reply = with_actor!(self.to, turn.cx, |actor| actor.run(script).timeout(patience).await)?;
        witness::with(|witness| witness.told(self.to, reply.line, "what a call in a turn was told"));
        Ok(reply.line)
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.catches { "try" } else { "call" })?;
        for One { to, script, timeout_ms } in &self.calls {
            match script {
                Some(script) => write!(f, " [{to} {script}")?,
                None => write!(f, " [look at {to}")?,
            }
            if let Some(timeout_ms) = timeout_ms {
                write!(f, " within {timeout_ms} ms")?;
            }
            write!(f, "]")?;
        }
        Ok(())
    }
}
