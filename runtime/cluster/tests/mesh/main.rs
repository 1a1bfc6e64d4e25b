//! The mesh over loopback: real meshes, real streams.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod intruders;
mod links;
mod messages;
mod nodes;
mod tls;
