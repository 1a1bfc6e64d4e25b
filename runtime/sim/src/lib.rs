//! A seeded simulation of the runtime, with faults and checkers.
//!
//! The simulated cluster is that of `greenroom-testing`: the real engine, driver, owner, coordinator, registration and
//! router on a disk, network and register that fail on purpose. A history ([`scene`]) has a beginning, trouble, and an
//! end in which everything must be served again ([`scenario`]); clients ([`workload`]) work through all of it and faults
//! ([`faults`]) happen meanwhile; the checkers ([`checker`]) hold what is seen against the invariants.
//!
//! One seed decides everything, so a seed is a test case: a failing one is replayed by its number alone.
//! A second simulation ([`programs`]) runs random programs, with everything that the programming model has, on the same
//! cluster, and checks them against a sequential model.
//! What the output means stands in this crate's README.

mod actors;
mod checker;
mod faults;
pub mod programs;
mod report;
mod scenario;
mod scene;
mod settings;
mod wish;
mod workload;

pub use checker::Violation;
pub use greenroom_testing::Mutation;
pub use report::{Counts, Report, Stats, Tally};
pub use scenario::simulate;
