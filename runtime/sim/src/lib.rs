//! A seeded simulation of the runtime, with faults and checkers.
//!
//! It runs the real code: engine, driver, owner, coordinator, registration, router. Only what lies below them is
//! simulated, and fails on purpose: disk ([`disk`]), network ([`network`]), register ([`register`]), time and tasks
//! ([`executor`], [`world`]). A history has a beginning, trouble, and an end in which everything must be served again
//! ([`scenario`]); clients ([`workload`]) work through all of it and faults ([`faults`]) happen meanwhile; the checkers
//! ([`checker`]) hold what is seen against the invariants.
//!
//! One seed decides everything, so a seed is a test case: a failing one is replayed by its number alone.
//! What the output means stands in this crate's README.

mod actors;
mod checker;
mod cluster;
mod disk;
mod executor;
mod faults;
mod network;
mod register;
mod report;
mod scenario;
mod settings;
mod trace;
mod wish;
mod workload;
mod world;

pub use checker::Violation;
pub use report::{Report, Stats};
pub use scenario::simulate;
pub use settings::Mutation;
