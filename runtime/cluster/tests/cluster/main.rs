//! Nodes of one cluster in one process: real drivers, engines, routers and stores on disk, the embedded register, and a
//! network that hands requests over directly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod membership;
mod messages;
mod queries;
mod routing;
