//! What the operator would do: observed state in, objects, steps and status out. No client, no clock, no randomness.
//!
//! A reconcile goes observe → validate → **plan** → apply → status, one file each. This crate is what stands between
//! the two I/O ends, so that every decision can be tested without a cluster:
//!
//! - [`observed`]: what the controller saw, and [`step`]: what it shall do;
//! - [`plan()`]: the decision;
//! - [`validate`]: what the spec asks for that cannot be had, or not now;
//! - [`build`]: the objects of a cluster, one kind per file;
//! - [`drift`]: whether an object differs from what it should be;
//! - `nodes`: how each node is; `roll`: which pod is next;
//! - [`status`]: what is told to the user, with its [`reasons`];
//! - [`lease`]: who leads.

mod activations;
pub mod build;
pub mod drift;
mod hash;
pub mod lease;
mod nodes;
pub mod observed;
mod plan;
mod quantity;
pub mod reasons;
mod roll;
pub mod status;
pub mod step;
pub mod validate;

pub use observed::{NodeReport, Observed, PageSeen, Settings};
pub use plan::plan;
pub use reasons::Reason;
pub use step::{Event, Kind, ObjectKey, Plan, PodRef, Step};

#[cfg(test)]
mod tests;
