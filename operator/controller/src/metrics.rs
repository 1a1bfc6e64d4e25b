//! The metrics of the operator, for Prometheus. Those of a single cluster are read when they are scraped, so none
//! outlives its cluster.

use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// A metric, as the reference lists it.
#[derive(Debug, Clone, Copy)]
pub struct MetricInfo {
    /// The name that Prometheus shows.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($field:ident: $type:ident $kind:literal $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// Every metric of the operator.
        pub const METRICS: &[MetricInfo] = &[$(MetricInfo {
            name: concat!("greenroom_operator_", $name), kind: $kind, labels: &[$($label),*], help: $help,
        }),*];

        /// The instruments.
        pub(crate) struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub(crate) $field: $type,)*
        }

        impl Metrics {
            pub(crate) fn new() -> Self {
                let registry = Registry::new();
                $(let $field = registered(
                    &registry, make::$type(concat!("greenroom_operator_", $name), $help, &[$($label),*]),
                );)*
                Self { registry, $($field),* }
            }
        }
    };
}

metrics! {
    reconciles: IntCounterVec "counter" "reconciles_total" [] "Reconciles that ended, with or without success.";
    failures: IntCounterVec "counter" "reconcile_failures_total" ["category"] "Reconciles that failed, by category.";
    duration: HistogramVec "histogram" "reconcile_duration_seconds" [] "How long reconciles took.";
    deferred: IntCounterVec "counter" "deferred_total" ["reason"]
        "Reconciles put off without a failure: the cache had not seen our own write yet, a namespace was going away, a node was still draining, a pod had changed.";
    steps: IntCounterVec "counter" "steps_total" ["step"] "Steps taken, by what they did.";
    api_requests: IntCounterVec "counter" "api_requests_total" ["verb", "resource", "code"]
        "Requests to the API server; the code is `none` where no answer came.";
    watch_age: GaugeVec "gauge" "watch_age_seconds" ["path"]
        "How long ago the API server last said something on a watch: an event, a bookmark, or its reopening.";
    watch_errors: IntCounterVec "counter" "watch_errors_total" ["path"] "Watches that ended with an error.";
    leader: IntGaugeVec "gauge" "leader" [] "1 on the replica that leads.";
    lease_transitions: IntGaugeVec "gauge" "lease_transitions" [] "How often the Lease has passed to another replica.";
    nodes_desired: IntGaugeVec "gauge" "cluster_nodes_desired" ["namespace", "cluster"] "Nodes that a cluster asks for.";
    nodes_ready: IntGaugeVec "gauge" "cluster_nodes_ready" ["namespace", "cluster"] "Nodes of a cluster that serve calls.";
    roll: HistogramVec "histogram" "roll_pod_seconds" [] "From a pod's deletion in a roll until its node served again.";
    certificate_expiry: GaugeVec "gauge" "certificate_expiry_timestamp_seconds" ["namespace", "secret"]
        "When a certificate that the operator made runs out, in seconds since 1970.";
}

/// How an instrument is made; named after the types so that the table reads like a declaration.
#[allow(non_snake_case, reason = "called by the name of the type")]
mod make {
    use super::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};

    const CORRECT: &str = "the names in the table are valid";
    const SECONDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

    pub(super) fn IntCounterVec(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        IntCounterVec::new(Opts::new(name, help), labels).expect(CORRECT)
    }

    pub(super) fn IntGaugeVec(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        IntGaugeVec::new(Opts::new(name, help), labels).expect(CORRECT)
    }

    pub(super) fn GaugeVec(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        GaugeVec::new(Opts::new(name, help), labels).expect(CORRECT)
    }

    pub(super) fn HistogramVec(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        HistogramVec::new(options, labels).expect(CORRECT)
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> C {
    registry.register(Box::new(metric.clone())).expect("each name stands in the table once");
    metric
}

impl Metrics {
    /// The text that Prometheus scrapes.
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("memory takes every write");
        String::from_utf8(text).expect("the encoder writes UTF-8")
    }
}
