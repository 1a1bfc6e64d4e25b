//! The turn fails: nothing of it may remain.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::draw::Draw;
use super::super::stage::{Failed, Stage, Turn};
use super::Kind;
use crate::actors::PLANNED_PANIC;

/// How it fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Fail {
    /// It returns `Err`.
    Refuse,
    Panic,
}

impl Kind for Fail {
    const WEIGHT: u32 = 3;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        Some(if draw.random.bool() { Self::Refuse } else { Self::Panic })
    }

    async fn play<S: Stage>(&self, stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        turn.fails(stage);
        match self {
            Self::Refuse => Err(Failed::Planned { saw: turn.before }),
            Self::Panic => panic!("{PLANNED_PANIC}"),
        }
    }

    fn dooms(&self) -> bool {
        true
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
