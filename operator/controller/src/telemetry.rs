//! Log lines and traces of the operator. The root span of a trace is one reconcile.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::args::{Args, LogFormat};
use crate::error::Error;

/// Spans with this target are traced.
pub(crate) const TRACE_TARGET: &str = "greenroom_operator::reconcile";

/// Keeps the exporter alive; dropping it sends what is left.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Starts logs, and traces if an endpoint is set. Must be called inside a tokio runtime.
pub fn init(args: &Args) -> Result<Telemetry, Error> {
    let invalid = |error: String| Error::Start(error);
    let filter = EnvFilter::try_new(&args.log).map_err(|error| {
        invalid(format!("--log: {error}; write for example info or greenroom_operator=debug,info"))
    })?;
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log: Box<dyn Layer<Registry> + Send + Sync> = match args.log_format {
        LogFormat::Text => log.with_target(false).with_filter(filter).boxed(),
        LogFormat::Json => log.json().with_filter(filter).boxed(),
    };
    let endpoint = Some(args.otlp_endpoint.as_str()).filter(|endpoint| !endpoint.is_empty());
    let traces =
        endpoint.map(|endpoint| provider(endpoint, &args.identity)).transpose().map_err(|error| {
            invalid(format!("--otlp-endpoint: {error}; write for example http://collector:4317"))
        })?;
    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("greenroom-operator"))
            .with_filter(Targets::new().with_target(TRACE_TARGET, tracing::Level::TRACE))
    });
    // An embedding program (a test) may have set its own subscriber already.
    let _ = tracing_subscriber::registry().with(log).with(spans).try_init();
    Ok(Telemetry { traces })
}

fn provider(endpoint: &str, identity: &str) -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| error.to_string())?;
    let resource = Resource::builder()
        .with_service_name("greenroom-operator")
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", identity.to_owned()))
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
