//! All cells together, as a program sees them that calls them: a node's own, or a client of a cluster.

use anyhow::{Context, Result};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use crate::{CellRef, Place, Report};

/// How many cells are called at once.
const IN_FLIGHT: usize = 256;

/// A square of cells. `C` makes the reference to the cell with a key.
pub struct Sky<C> {
    cell: C,
    side: u32,
}

impl<C: Fn(&str) -> CellRef> Sky<C> {
    /// The sky with so many columns and rows of cells.
    pub fn new(side: u32, cell: C) -> Self {
        Self { cell, side }
    }

    /// Wakes all cells and puts so many birds into each.
    pub async fn populate(&self, birds: u32) -> Result<()> {
        let calls = self.cells().map(|cell| async move { cell.populate(birds).await });
        let outcome: Result<(), _> = calls.buffer_unordered(IN_FLIGHT).try_collect().await;
        outcome.context("a cell cannot be populated")
    }

    /// Asks every cell what it did.
    pub async fn report(&self) -> Result<Report> {
        let calls = self.cells().map(|cell| async move { cell.report().await });
        let told = calls.buffer_unordered(IN_FLIGHT);
        let all = told.try_fold(Report::default(), async |all, cell| Ok(all.and(&cell)));
        all.await.context("a cell does not tell what it did")
    }

    /// Ends the ticks of all cells.
    pub async fn freeze(&self) -> Result<()> {
        let calls = self.cells().map(|cell| async move { cell.freeze().await });
        let outcome: Result<(), _> = calls.buffer_unordered(IN_FLIGHT).try_collect().await;
        outcome.context("a cell cannot be frozen")
    }

    fn cells(&self) -> impl Stream<Item = CellRef> {
        stream::iter(Place::all(self.side)).map(|place| (self.cell)(&place.to_string()))
    }
}
