//! The Rust client: typed references and calls by name, from outside the cluster.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use greenroom_client::{CallOptions, Client};
//!
//! let client = Client::connect(["http://127.0.0.1:7400"])?;
//! let reply = client.call_json(&"Counter/page-1".parse()?, "add", r#"{"by":3}"#, CallOptions::default()).await?;
//! # Ok(()) }
//! ```
//!
//! A call that finds nobody to answer it is repeated with the same call id, at the same gateway or another one, until
//! its deadline. That is safe: a call id is applied at most once within its retention, whoever repeats it.

mod attempt;
mod client;
mod dev;
mod endpoints;
mod items;

pub use attempt::{Attempt, Gateways};
pub use client::{CallOptions, Client, ConnectError};
pub use greenroom_core::filter::{Filter, FilteredCall, Refusal, Way};
pub use items::JsonItems;
