//! What is counted, for Prometheus. No metric has a label per actor, user or namespace.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of a process.
pub struct Metrics {
    /// All of them.
    pub registry: Registry,
    /// Requests for objects, by verb and HTTP status.
    pub requests: IntCounterVec,
    /// How long they took until the answer began, by verb.
    pub seconds: HistogramVec,
    /// Watches that are open.
    pub watches: IntGauge,
    /// Clusters that somebody watches.
    pub watched_clusters: IntGauge,
    /// Nodes that are known.
    pub nodes: IntGauge,
    /// How long the certificate is still good for.
    pub certificate_seconds: IntGauge,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("greenroom_placement_api".to_owned()), None)?;
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("requests_total", "Requests for objects, by verb and HTTP status."),
                &["verb", "code"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("request_seconds", "Time until the answer began, by verb.")
                    .buckets(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]),
                &["verb"],
            )?,
            watches: gauge("watches", "Watches that are open.")?,
            watched_clusters: gauge("watched_clusters", "Clusters that somebody watches.")?,
            nodes: gauge("nodes", "Nodes that are known.")?,
            certificate_seconds: gauge(
                "certificate_expiry_seconds",
                "How long the certificate in use is still good for.",
            )?,
            registry,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        Ok(metrics)
    }

    /// Counts an answered request.
    pub fn answered(&self, verb: &str, code: u16, took: Duration) {
        self.requests.with_label_values(&[verb, &code.to_string()]).inc();
        self.seconds.with_label_values(&[verb]).observe(took.as_secs_f64());
    }
}
