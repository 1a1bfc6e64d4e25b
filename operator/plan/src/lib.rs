//! What the operator would do: observed state in, objects, steps and status out. No client, no clock, no randomness.
//!
//! A reconcile goes observe → validate → **plan** → apply → status, one file each. This crate is what stands between
//! the two I/O ends, so that every decision can be tested without a cluster:
//!
//! - [`observed`]: what the controller saw, and [`step`]: what it shall do;
//! - `validate`: what the spec asks for that cannot be had, or not now;
//! - `build`: the objects of a cluster, one kind per file;
//! - `drift`: whether an object differs from what it should be;
//! - `roll`: which pod is next;
//! - `status`: what is told to the user;
//! - `lease`: who leads.

pub mod observed;
pub mod step;
