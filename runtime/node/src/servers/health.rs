//! Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::node::Shared;

/// `/livez` says that the process answers; `/readyz` that this node serves every shard that it owns; `/metrics` is
/// for Prometheus.
pub(crate) fn health_routes(node: Arc<Shared>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(node)
}

async fn ready(State(node): State<Arc<Shared>>) -> (StatusCode, String) {
    if node.is_ready() {
        return (StatusCode::OK, "ok\n".into());
    }
    let phase = node.phase();
    let reason = node.waits_for().map(|what| format!("; {what}")).unwrap_or_default();
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: the node is {phase}{reason}\n"))
}

async fn metrics(State(node): State<Arc<Shared>>) -> impl axum::response::IntoResponse {
    match node.metrics.text() {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, "text/plain; version=0.0.4")], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error),
    }
}
