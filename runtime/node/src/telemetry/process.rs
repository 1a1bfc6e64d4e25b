//! Log lines and traces of the process.

use std::collections::HashMap;

use greenroom_core::trace::{self, TraceLinks};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider as _};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use thiserror::Error;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{LogFormat, NodeConfig};

/// The span of every turn has this target: it goes to the traces, never to the log.
const TURN_TARGET: &str = "greenroom::turn";

/// Why telemetry cannot start.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The log filter is not valid.
    #[error("--log: {0}; write for example info or greenroom=debug,info")]
    Filter(String),
    /// The trace exporter is not valid.
    #[error("--otlp-endpoint: {0}; write for example http://127.0.0.1:4317")]
    Traces(String),
}

/// Keeps the exporters alive; dropping it sends what is left.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Starts logs, and traces if an endpoint is set. Only the first call in a process has an effect; it must be made inside
/// a tokio runtime.
pub fn init(config: &NodeConfig) -> Result<Telemetry, TelemetryError> {
    let filter = format!("{},{TURN_TARGET}=off", config.log);
    let filter = EnvFilter::try_new(&filter).map_err(|error| TelemetryError::Filter(error.to_string()))?;
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log: Box<dyn Layer<Registry> + Send + Sync> = match config.log_format {
        LogFormat::Text => log.with_target(false).with_filter(filter).boxed(),
        LogFormat::Json => log.json().with_filter(filter).boxed(),
    };
    let traces =
        config.otlp_endpoint.as_deref().map(|endpoint| trace_provider(config, endpoint)).transpose()?;
    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("greenroom"))
            .with_filter(Targets::new().with_target(TURN_TARGET, tracing::Level::TRACE))
    });
    if traces.is_some() {
        trace::install(Box::new(W3c::default()));
    }
    // An embedding program may have set its own subscriber already; then it decides what is written.
    let _ = tracing_subscriber::registry().with(log).with(spans).try_init();
    Ok(Telemetry { traces })
}

/// Spans as they are named between processes: W3C Trace Context.
#[derive(Default)]
struct W3c(TraceContextPropagator);

impl TraceLinks for W3c {
    fn link(&self, span: &Span, parent: Option<&str>) -> Option<String> {
        if let Some(parent) = parent {
            // It fails for spans that nobody collects: those have no parent to miss.
            let _ = span.set_parent(self.read(parent));
        }
        self.name(span)
    }

    fn follow(&self, span: &Span, earlier: Option<&str>) -> Option<String> {
        // What runs here at the moment does not wait for it.
        let _ = span.set_parent(Context::new());
        if let Some(earlier) = earlier {
            span.add_link(self.read(earlier).span().span_context().clone());
        }
        self.name(span)
    }
}

impl W3c {
    fn read(&self, traceparent: &str) -> Context {
        let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
        self.0.extract_with_context(&Context::new(), &carrier)
    }

    fn name(&self, span: &Span) -> Option<String> {
        let mut carrier = HashMap::new();
        self.0.inject_context(&span.context(), &mut carrier);
        carrier.remove(TRACEPARENT)
    }
}

const TRACEPARENT: &str = "traceparent";

fn trace_provider(config: &NodeConfig, endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Traces(error.to_string()))?;
    let resource = Resource::builder()
        .with_service_name(format!("greenroom/{}", config.cluster))
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", config.node.clone()))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take() {
            // The process is ending; there is nobody left to tell.
            let _ = traces.shutdown();
        }
    }
}
