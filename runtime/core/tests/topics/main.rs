//! Who has subscribed gets what is published: as often, in the order and with the patience that was promised.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broadcasts;
mod crashes;
mod delivery;
mod hall;
mod moves;
mod pair;
mod priorities;
mod sessions;

#[path = "../support/mod.rs"]
mod support;
