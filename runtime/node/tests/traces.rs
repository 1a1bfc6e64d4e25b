//! With an endpoint set, every turn arrives at an OTLP collector as a span with its actor and method.
//!
//! A program of its own, since the subscriber of a process can be set once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use greenroom::config::NodeConfig;
use greenroom::{Counter, Runtime, init_telemetry};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_arrives_at_the_collector_as_a_span() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (collected, mut spans) = mpsc::unbounded_channel();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server =
        tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(collected)));
    tokio::spawn(server.serve_with_incoming(incoming));

    let config = NodeConfig { otlp_endpoint: Some(endpoint), ..NodeConfig::local() };
    let telemetry = init_telemetry(&config).unwrap();
    let runtime = Runtime::with_config(config).actor::<Counter>().start().await.unwrap();
    runtime.actor::<Counter>("traced").add(1).await.unwrap();
    // Sends what is left; it blocks until the collector has answered.
    tokio::task::spawn_blocking(move || drop(telemetry)).await.unwrap();

    let span = spans.recv().await.unwrap();
    let attribute = |name: &str| {
        let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.clone()),
            _ => None,
        }
    };
    assert_eq!(span.name, "turn");
    assert_eq!(attribute("actor").as_deref(), Some("Counter/traced"));
    assert_eq!(attribute("method").as_deref(), Some("add"));
    runtime.shutdown().await;
}
