//! The actor leaves memory, whether the turn ends well or not.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::draw::Draw;
use super::super::stage::{Failed, Stage, Turn};
use super::Kind;

/// Asks to be taken out of memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Leave;

impl Kind for Leave {
    const WEIGHT: u32 = 1;

    fn draw(_draw: &mut Draw<'_>) -> Option<Self> {
        Some(Self)
    }

    async fn play<S: Stage>(&self, _stage: &mut S, turn: &Turn<'_>) -> Result<(), Failed> {
        turn.cx.deactivate();
        Ok(())
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leave")
    }
}
