//! `/livez`, `/readyz` and `/metrics`.
//!
//! Ready means that a request can be answered: there is a certificate, the front proxy is known, and so are the pods.
//! Nodes have no part in it, nor has the operator: a server that waited for them would take discovery down with it.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use prometheus::TextEncoder;

use crate::metrics::Metrics;
use crate::nodes::directory::Directory;
use crate::nodes::following::Following;
use crate::security::certificates::Current;
use crate::security::request_header::RequestHeaders;

/// What health depends on.
#[derive(Clone)]
pub struct Health {
    /// The certificate.
    pub certificate: Current,
    /// The front proxy.
    pub headers: Arc<arc_swap::ArcSwapOption<RequestHeaders>>,
    /// The pods.
    pub directory: Directory,
    /// What is watched.
    pub following: Arc<Following>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Health {
    /// The probes; `/metrics` only where it is not for everybody.
    pub fn probes(&self) -> Router {
        let (ready, health) = (self.clone(), self.clone());
        Router::new()
            .route("/livez", get(async || "ok"))
            .route("/readyz", get(async move || ready.ready()))
            .route("/healthz", get(async move || health.ready()))
    }

    /// The probes and the metrics.
    pub fn router(&self) -> Router {
        let metrics = self.clone();
        self.probes().route("/metrics", get(async move || metrics.metrics()))
    }

    fn ready(&self) -> Response {
        let missing: Vec<&str> = [
            (self.certificate.load().is_none(), "there is no certificate"),
            (self.headers.load().is_none(), "the front proxy's authority is not known"),
            (!self.directory.is_ready(), "the pods have not been listed"),
        ]
        .into_iter()
        .filter_map(|(missing, what)| missing.then_some(what))
        .collect();
        match missing.is_empty() {
            true => "ok".into_response(),
            false => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", ")))
                .into_response(),
        }
    }

    fn metrics(&self) -> Response {
        let nodes = self.directory.nodes().map_or(0, |nodes| nodes.values().map(Vec::len).sum::<usize>());
        self.metrics.nodes.set(i64::try_from(nodes).unwrap_or(i64::MAX));
        let watched = i64::try_from(self.following.len()).unwrap_or(i64::MAX);
        self.metrics.watched_clusters.set(watched);
        let left = self.certificate.load().as_ref().map(|certificate| {
            certificate.expires.duration_since(SystemTime::now()).map_or(0, |left| left.as_secs())
        });
        self.metrics.certificate_seconds.set(left.unwrap_or_default().try_into().unwrap_or(i64::MAX));
        match TextEncoder::new().encode_to_string(&self.metrics.registry.gather()) {
            Ok(text) => text.into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}
