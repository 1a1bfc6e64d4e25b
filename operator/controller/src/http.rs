//! `/livez`, `/readyz` and `/metrics`.
//!
//! - **live**: every watch has heard of the API server within the last ten minutes. Restarting is the last means
//!   against a process that looks healthy and sees nothing.
//! - **ready**: the caches are whole. A replica that does not lead is ready too: it could take over at once. What is
//!   missing is named, for example that the custom resources are not defined.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use kube::ResourceExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::watches::{Caches, Progress, STALLED_AFTER};

/// What the pages are made from.
pub(crate) struct Pages {
    pub(crate) scopes: Vec<Arc<Caches>>,
    pub(crate) progress: Progress,
    pub(crate) metrics: Arc<Metrics>,
}

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, pages: Arc<Pages>, stop: CancellationToken) {
    let router = Router::new()
        .route("/livez", get(async |State(pages): State<Arc<Pages>>| pages.live()))
        .route("/readyz", get(async |State(pages): State<Arc<Pages>>| pages.ready()))
        .route("/metrics", get(async |State(pages): State<Arc<Pages>>| pages.metrics()))
        .with_state(pages);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "/livez, /readyz and /metrics are not served any more");
    }
}

impl Pages {
    fn live(&self) -> (StatusCode, String) {
        verdict(stalled(self.progress.ages()))
    }

    fn ready(&self) -> (StatusCode, String) {
        verdict(self.scopes.iter().flat_map(|caches| caches.missing()).collect())
    }

    /// What is known of single clusters and watches is read now, so that nothing outlives them.
    fn metrics(&self) -> String {
        let metrics = &self.metrics;
        for (path, age) in self.progress.ages() {
            metrics.watch_age.with_label_values(&[&path]).set(age.as_secs_f64());
        }
        metrics.nodes_desired.reset();
        metrics.nodes_ready.reset();
        for cluster in self.scopes.iter().flat_map(|caches| caches.clusters.state()) {
            let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
            let ready = cluster.status.as_ref().map_or(0, |status| status.ready_replicas);
            let labels = [namespace.as_str(), name.as_str()];
            metrics.nodes_desired.with_label_values(&labels).set(cluster.spec.total_replicas().into());
            metrics.nodes_ready.with_label_values(&labels).set(ready.into());
        }
        metrics.text()
    }
}

fn stalled(ages: Vec<(String, Duration)>) -> Vec<String> {
    let stalled = ages.into_iter().filter(|(_, age)| *age >= STALLED_AFTER);
    stalled.map(|(path, age)| format!("{path}: nothing came for {} s", age.as_secs())).collect()
}

fn verdict(problems: Vec<String>) -> (StatusCode, String) {
    if problems.is_empty() {
        (StatusCode::OK, "ok\n".into())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problems.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_watch_that_stands_still_for_ten_minutes_fails_the_liveness_check() {
        let ages = |seconds| {
            vec![
                ("/api/v1/pods".to_owned(), Duration::from_secs(1)),
                ("/x".to_owned(), Duration::from_secs(seconds)),
            ]
        };
        assert_eq!(verdict(stalled(ages(599))).0, StatusCode::OK);
        let (code, text) = verdict(stalled(ages(600)));
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "/x: nothing came for 600 s\n");
    }
}
