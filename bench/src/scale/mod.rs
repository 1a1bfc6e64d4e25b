//! `scale`: what must not become slow when there is much of it. Each program is measured beside itself with little.

mod collection;
mod reminders;

use anyhow::{Error, Result};
use clap::ValueEnum;

use crate::report::Report;

/// What there is much of.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Reminders that are due in the same second
    Reminders,
    /// Items in the map of one actor
    Collection,
}

/// Measures one part, or all of them.
pub(crate) async fn run(rounds: u32, only: Option<&str>) -> Result<Report> {
    let only = only.map(|name| Part::from_str(name, true).map_err(Error::msg)).transpose()?;
    let mut report = Report::default();
    for part in Part::value_variants() {
        for round in 1..=rounds {
            match part {
                _ if only.is_some_and(|only| only != *part) => continue,
                Part::Reminders => reminders::round(&mut report).await?,
                Part::Collection => collection::round(&mut report).await?,
            }
            eprintln!("round {round} of {rounds} is done");
        }
    }
    Ok(report)
}
