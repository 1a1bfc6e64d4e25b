//! `basics`: what a call costs in process, over the mesh and when it is durable, each beside its floor; and memory.

mod ask;
mod durable;
mod group;
pub(crate) mod memory;
pub(crate) mod mesh;
pub(crate) mod tcp;

use anyhow::{Error, Result};
use clap::ValueEnum;

use crate::report::Report;

/// What belongs together.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Asks in process
    Ask,
    /// Asks over the mesh
    Mesh,
    /// Durable turns
    Durable,
    /// Memory of a node and of activations
    Memory,
}

/// Measures one part, or all of them.
pub(crate) async fn run(rounds: u32, only: Option<&str>) -> Result<Report> {
    let only = only.map(|name| Part::from_str(name, true).map_err(Error::msg)).transpose()?;
    let mut report = Report::default();
    for part in Part::value_variants() {
        match part {
            _ if only.is_some_and(|only| only != *part) => {}
            Part::Ask => ask::run(&mut report, rounds).await?,
            Part::Mesh => mesh::run(&mut report, rounds).await?,
            Part::Durable => durable::run(&mut report, rounds).await?,
            Part::Memory => memory::run(&mut report, rounds).await?,
        }
    }
    Ok(report)
}
