//! A call that lends the state meanwhile: what comes back runs inside this turn ([`Visit`](super::Act::Visit)), and is
//! committed with it or not at all.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::cast::{Who, with_actor};
use super::super::draw::Draw;
use super::super::model::Model;
use super::super::script::Script;
use super::super::stage::{Failed, Heard, Line, Stage, Turn};
use super::super::visits::WINDOW;
use super::super::witness;
use super::{By, Kind, Sends, To};

/// Calls somebody who may come back. If the call fails, the turn goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lend {
    to: Who,
    script: Script,
    timeout_ms: Option<u64>,
}

impl Kind for Lend {
    const WEIGHT: u32 = 5;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        draw.at.is_of_one_version().then_some(())?;
        let to = draw.later()?;
        let script = draw.script_that_comes_back(to)?;
        let timeout_ms = (draw.random.u8(..5) == 0 && !draw.calm).then(|| draw.random.u64(1..300));
        Some(Self { to, script, timeout_ms })
    }

    async fn play<S: Stage>(&self, stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        let patience = self.timeout_ms.map_or(Duration::from_secs(60), Duration::from_millis);
        let window = witness::ask(|witness| witness.opens_window());
        witness::with(|witness| witness.leaves(self.script.id, turn.who, turn.before));
        let page = stage.page();
        page.heard.push(Heard { part: WINDOW, line: Some(Line::of_window(window)) });
        let outer = page.lends.replace(window);
        let script = self.script.clone();
        let outcome = with_actor!(self.to, turn.cx, |actor| {
            turn.cx.reentrant(stage, actor.run(script).timeout(patience)).await
        });
        let line = outcome.map(|reply| reply.line).map_err(Failed::from).ok();
        if let Some(line) = line {
            witness::with(|witness| witness.told(self.to, line, "what a call in a turn was told"));
        }
        let page = stage.page();
        page.lends = outer;
        page.heard.push(Heard { part: self.script.id, line });
        Ok(())
    }

    /// Who has come in, and in which order, the turn says itself.
    fn expect(&self, model: &mut Model, heard: &[Heard]) {
        let next = |model: &Model| heard.get(model.heard.len()).cloned();
        let of = |model: &Model, part| {
            next(model).filter(|heard| heard.part == part).unwrap_or(Heard { part, line: None })
        };
        model.heard.push(of(model, WINDOW));
        let visits: Vec<_> = self.script.steps.iter().flat_map(|step| step.act.sends()).collect();
        let visit = |part| visits.iter().find(|sends| sends.by == By::Visit && sends.script.id == part);
        while let Some((sends, came)) = next(model).and_then(|came| Some((visit(came.part)?, came))) {
            model.heard.push(came);
            sends.script.steps.iter().for_each(|step| step.act.expect(model, heard));
        }
        model.heard.push(of(model, self.script.id));
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        vec![Sends { script: &self.script, to: To::Other(self.to), by: By::Call }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Lend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lend to [{} {}", self.to, self.script)?;
        if let Some(timeout_ms) = self.timeout_ms {
            write!(f, " within {timeout_ms} ms")?;
        }
        write!(f, "]")
    }
}
