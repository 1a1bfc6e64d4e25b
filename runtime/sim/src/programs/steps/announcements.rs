//! A broadcast: a message to every actor of a type that is in memory, at most once each.

use std::fmt;

use greenroom_testing::Mutation;
use serde::{Deserialize, Serialize};

use super::super::actors::{GhostRef, KeeperRef, ScribeRef, ShelfRef};
use super::super::cast::Kind as Type;
use super::super::draw::Draw;
use super::super::elders::ElderRef;
use super::super::script::Script;
use super::super::stage::{Failed, Stage, Turn};
use super::super::witness;
use super::{By, Kind, Sends, To};

/// Tells all of a type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Announce {
    whom: Type,
    script: Script,
}

impl Kind for Announce {
    const WEIGHT: u32 = 2;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let whom = draw.anyone().kind;
        Some(Self { whom, script: draw.script_for_anyone()? })
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        if witness::ask(|witness| witness.has(Mutation::NewsAreLost)) {
            return Ok(());
        }
        let (cx, script) = (turn.cx, self.script.clone());
        Ok(match self.whom {
            Type::Keeper => cx.broadcast(|all: KeeperRef| all.run(script)),
            Type::Shelf => cx.broadcast(|all: ShelfRef| all.run(script)),
            Type::Scribe => cx.broadcast(|all: ScribeRef| all.run(script)),
            Type::Elder => cx.broadcast(|all: ElderRef| all.run(script)),
            Type::Ghost => cx.broadcast(|all: GhostRef| all.run(script)),
        }?)
    }

    fn sends(&self) -> Vec<Sends<'_>> {
        vec![Sends { script: &self.script, to: To::Listeners, by: By::News(self.whom) }]
    }

    fn scripts_mut(&mut self) -> Vec<&mut Script> {
        vec![&mut self.script]
    }
}

impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tell every {:?} [{}]", self.whom, self.script)
    }
}
