//! A reminder, once or again and again; the turn of its last tick ends it ([`Tick`]).

use std::fmt;
use std::time::Duration;

use greenroom_core::{Missed, Schedule};
use serde::{Deserialize, Serialize};

use super::super::cast::with_actor;
use super::super::draw::Draw;
use super::super::script::{Script, Step};
use super::super::stage::{Failed, Stage, Turn};
use super::ticks::{self, Tick};
use super::{Act, By, Kind, Sends, To};

/// Sets a reminder of its own name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remind {
    script: Script,
    after_ms: u64,
    /// How often it ticks, and whether each tick is made up for; `None`: once.
    again: Option<(u32, bool)>,
}

impl Kind for Remind {
    const WEIGHT: u32 = 4;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        // A script that runs several times would set the same reminder anew, and nobody could say how often it ticks.
        if !draw.at.is_durable() || !draw.at.is_of_one_version() || !draw.runs_once {
            return None;
        }
        let again = draw.random.bool().then(|| (draw.random.u32(2..5), draw.random.bool()));
        let mut script = draw.script_that_repeats(draw.at, again.is_some())?;
        let tick = Tick { reminder: script.id, last: again.map(|(times, _)| times) };
        script.steps.insert(0, Step { id: 0, act: Act::Tick(tick) });
        Some(Self { script, after_ms: draw.random.u64(100..3_000), again })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let after = Duration::from_millis(self.after_ms);
        let schedule = match self.again {
            None => Schedule::after(after),
            Some((_, true)) => Schedule::every(after).missed(Missed::All),
            Some((_, false)) => Schedule::every(after).first_after(after / 2),
        };
        let (name, script) = (ticks::name(self.script.id), self.script.clone());
        Ok(with_actor!(turn.who, turn.cx, |me| turn.cx.remind(&name, schedule, me.run(script)))?)
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        let by = By::Ticks(self.again.map_or(1, |(times, _)| times));
        vec![Sends { script: &self.script, to: To::Itself, by }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Remind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.again {
            None => write!(f, "remind in {} ms [{}]", self.after_ms, self.script),
            Some((times, all)) => {
                let all = if all { " all" } else { "" };
                write!(f, "remind{all} {times} times every {} ms [{}]", self.after_ms, self.script)
            }
        }
    }
}
