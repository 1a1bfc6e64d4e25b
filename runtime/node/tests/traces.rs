//! With an endpoint set, every turn arrives at an OTLP collector as a span with its actor and method, below the span of
//! the turn that called it; what nobody waits for begins a trace with a link to the turn that set it in motion.
//!
//! A program of its own, since the subscriber of a process can be set once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use greenroom::config::NodeConfig;
use greenroom::init_telemetry;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use support::{Cluster, Tally};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            self.0.send(span).map_err(|_| Status::cancelled("the test has ended"))?;
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// The text of a span's attribute.
fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_arrive_at_the_collector_as_the_spans_of_one_trace_across_nodes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (collected, mut arriving) = mpsc::unbounded_channel();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server =
        tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(collected)));
    tokio::spawn(server.serve_with_incoming(incoming));

    let config = NodeConfig { otlp_endpoint: Some(endpoint), ..NodeConfig::local() };
    let telemetry = init_telemetry(&config).unwrap();
    let cluster = Cluster::start().await;
    let targets: Vec<_> = (0..12).map(|i| format!("to-{i}")).collect();
    for target in &targets {
        let from = cluster.client().actor::<Tally>("from");
        assert_eq!(from.pass_on(target.clone(), 1).await.unwrap(), 1);
    }
    cluster.client().actor::<Tally>("starter").set_in_motion().await.unwrap();
    for (key, total) in [("told", 1), ("sent", 1), ("starter", 2)] {
        while cluster.client().actor::<Tally>(key).total().await.unwrap() < total {
            tokio::task::yield_now().await;
        }
    }
    // Sends what is left; it blocks until the collector has answered.
    tokio::task::spawn_blocking(move || drop(telemetry)).await.unwrap();
    cluster.stop().await;

    let mut spans = Vec::new();
    while let Ok(span) = arriving.try_recv() {
        assert_eq!(span.name, "turn");
        spans.push(span);
    }
    for target in &targets {
        let actor = format!("Tally/{target}");
        let called = spans.iter().find(|span| attribute(span, "actor") == actor).unwrap();
        assert_eq!(attribute(called, "method"), "add");
        let caller = spans.iter().find(|span| span.span_id == called.parent_span_id).unwrap();
        assert_eq!(attribute(caller, "actor"), "Tally/from");
        assert_eq!(attribute(caller, "method"), "pass_on");
        assert_eq!(caller.trace_id, called.trace_id);
        assert!(caller.parent_span_id.is_empty());
    }
    let starter = spans.iter().find(|span| attribute(span, "method") == "set_in_motion").unwrap();
    for (key, turns) in [("told", 1), ("sent", 1), ("starter", 2)] {
        let actor = format!("Tally/{key}");
        let is_one = |span: &&Span| attribute(span, "actor") == actor && attribute(span, "method") == "add";
        let set_in_motion: Vec<_> = spans.iter().filter(is_one).collect();
        assert_eq!(set_in_motion.len(), turns, "{key}");
        for span in set_in_motion {
            assert!(span.parent_span_id.is_empty() && span.trace_id != starter.trace_id, "{key}");
            let links: Vec<_> = span.links.iter().map(|link| (&link.trace_id, &link.span_id)).collect();
            assert_eq!(links, [(&starter.trace_id, &starter.span_id)], "{key}");
        }
    }
}
