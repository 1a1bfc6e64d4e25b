//! A sky of cells with birds in them: every cell is an actor that ticks thirty times a second.
//!
//! [`Cell`] is the actor, [`bird`] how birds fly (pure), [`Place`] which cells are neighbours, [`Report`] what cells tell
//! about themselves. [`Sky`] is all cells together, as a client sees them. The node program is `src/bin/node.rs`, the
//! client that starts the cells and watches them is `src/main.rs`.

pub mod bird;
mod cell;
mod jitter;
mod place;
mod report;
mod sky;

pub use cell::{Cell, CellRef, HZ};
pub use jitter::Jitter;
pub use place::{NoPlace, Place};
pub use report::Report;
pub use sky::Sky;
