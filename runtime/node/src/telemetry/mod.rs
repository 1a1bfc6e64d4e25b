//! What a node tells about itself: log lines, Prometheus metrics, OTLP traces.
//!
//! Metrics belong to a node, logs and traces to the process: several nodes in one process (tests) share those.

mod metrics;
mod process;

pub(crate) use metrics::Metrics;
pub use metrics::{METRICS, MetricInfo};
pub use process::{Telemetry, TelemetryError, init};
