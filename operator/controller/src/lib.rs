//! The operator's I/O half: it observes clusters, lets `greenroom-operator-plan` decide, and carries the steps out.
//!
//! ```text
//!  watches ──► caches ──► observe ──► plan (pure, another crate) ──► apply ──► status, events
//!                 │          ▲ nodes answer over the admin port
//!                 └─ dirty ──┘
//!  leader ──► fence: a write leaves only while the Lease is surely ours
//! ```
//!
//! One step of a reconcile per file. Every replica keeps warm caches; only the leader reconciles, and even its client
//! refuses to write once the Lease may have passed to another ([`fence`]).

mod apply;
mod args;
mod authority;
mod certificates;
mod client;
mod error;
mod events;
mod fence;
mod http;
mod kinds;
mod leader;
mod metrics;
mod nodes;
mod observe;
mod operator;
mod reconcile;
mod rolls;
pub mod shutdown;
mod status;
pub mod telemetry;
mod watches;

pub use args::{Args, LogFormat};
pub use error::{Category, Error};
pub use metrics::{METRICS, MetricInfo};
pub use operator::Operator;
