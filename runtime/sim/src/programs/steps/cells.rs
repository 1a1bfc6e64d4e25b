//! A number in the actor's state changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::draw::Draw;
use super::super::model::Model;
use super::super::stage::{CELLS, Failed, Heard, Stage, Turn};
use super::Kind;

/// Adds to a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Add {
    cell: usize,
    by: i64,
}

impl Kind for Add {
    const WEIGHT: u32 = 6;

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        Some(Self { cell: draw.random.usize(..CELLS), by: draw.random.i64(-9..100) })
    }

    async fn play<S: Stage>(&self, stage: &mut S, _turn: &Turn<'_>) -> Result<(), Failed> {
        stage.page().cells[self.cell] += self.by;
        Ok(())
    }

    fn expect(&self, model: &mut Model, _heard: &[Heard]) {
        model.cells[self.cell] += self.by;
    }
}

impl fmt::Display for Add {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cell {} += {}", self.cell, self.by)
    }
}
