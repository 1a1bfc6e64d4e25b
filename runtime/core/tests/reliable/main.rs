//! The promises of a reliable message: there if and only if its turn is, applied exactly once, in order.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crashes;
mod letters;
mod order;
mod town;

#[path = "../support/mod.rs"]
mod support;
