//! Workflows over a real engine: what a crash at any record leaves, and what a function may rely on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

extern crate greenroom_core as greenroom;

mod cancel;
mod crashes;
mod rules;
mod shop;
mod topics;
mod waits;

#[path = "../support/mod.rs"]
mod support;
