//! The clients to the API server: one that watches, one that writes behind the fence, one for the Lease.
//!
//! They are separate because they need different patience. A watch is silent for up to a minute between two bookmarks,
//! so a connection that brings nothing for longer than [`WATCH_SILENCE`] is dead and opened again; an ordinary request
//! has [`REQUEST_TIME`] in all, with its retries; the Lease must know quickly. (The retries that kube makes by itself
//! may hang for minutes, and are off.)

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, DynBody};
use kube::{Client, Config};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, Layer, Service};

use crate::error::Error;
use crate::fence::{Fence, Leadership};
use crate::metrics::Metrics;
use crate::watches::Progress;

/// All the time that a request may take, with its retries.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long a watch may be silent. API servers send a bookmark each minute.
const WATCH_SILENCE: Duration = Duration::from_secs(75);
/// How long the Lease may take: several attempts must fit before the term runs out.
const LEASE_TIME: Duration = Duration::from_secs(3);
/// How long a connection may take to open.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Requests that may wait for the connection pool.
const BUFFER: usize = 256;

/// The clients of one replica.
#[derive(Clone)]
pub(crate) struct Clients {
    /// For lists and watches.
    pub(crate) watches: Client,
    /// For everything that the leader does; refuses to write without leadership.
    pub(crate) writer: Client,
    /// For the Lease only: it is not fenced, since it is what the fence rests on.
    pub(crate) lease: Client,
}

impl Clients {
    pub(crate) fn new(
        config: &Config,
        identity: &str,
        leadership: &Leadership,
        metrics: &Arc<Metrics>,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let agent = format!("greenroom-operator/{} ({identity})", env!("CARGO_PKG_VERSION"));
        let agent = HeaderValue::try_from(agent)
            .map_err(|_| Error::Start("--identity is not valid in a header; use the pod's name".into()))?;
        let observe = Observe { metrics: metrics.clone(), progress: progress.clone() };
        let start = |silence: Duration| {
            let mut config = config.clone();
            config.headers.push((USER_AGENT, agent.clone()));
            config.default_retry = false;
            config.connect_timeout = Some(CONNECT_TIME);
            config.read_timeout = Some(silence);
            config.reset_reader_on_write = true;
            ClientBuilder::try_from(config).map_err(|error| Error::Start(error.to_string()))
        };
        let retries = RetryPolicy::new(Duration::from_millis(100), Duration::from_secs(2), 5, true)
            .expect("the delays are in order");
        let writer = start(REQUEST_TIME)?
            .with_layer(&Fence(leadership.clone()))
            .with_layer(&observe)
            .with_layer(&BufferLayer::new(BUFFER))
            .with_layer(&RetryLayer::new(retries))
            .with_layer(&TimeoutLayer::new(REQUEST_TIME));
        // The time for an answer's head; its silence afterwards is the connection's matter.
        let watches = start(WATCH_SILENCE)?.with_layer(&observe).with_layer(&TimeoutLayer::new(REQUEST_TIME));
        let lease = start(LEASE_TIME)?.with_layer(&observe).with_layer(&TimeoutLayer::new(LEASE_TIME));
        Ok(Self { watches: watches.build(), writer: writer.build(), lease: lease.build() })
    }
}

/// Counts requests, and notes when a watch brought something.
#[derive(Clone)]
struct Observe {
    metrics: Arc<Metrics>,
    progress: Progress,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner, observe: self.clone() }
    }
}

/// See [`Observe`].
#[derive(Clone)]
struct Observed<S> {
    inner: S,
    observe: Observe,
}

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Observe { metrics, progress } = self.observe.clone();
        let path = request.uri().path().to_owned();
        let (verb, resource) = describe(request.method(), &path, request.uri().query().unwrap_or_default());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            let code =
                answer.as_ref().map_or_else(|_| "none".into(), |answer| answer.status().as_u16().to_string());
            metrics.api_requests.with_label_values(&[verb, &resource, &code]).inc();
            if !matches!(verb, "list" | "watch") {
                return answer;
            }
            Ok(answer?.map(|body| {
                progress.touch(&path);
                let body = body.map_frame(move |frame| {
                    progress.touch(&path);
                    frame
                });
                Box::new(body) as Box<DynBody>
            }))
        }
        .boxed()
    }
}

/// The verb and the resource of a request, as RBAC and the audit log call them.
fn describe(method: &Method, path: &str, query: &str) -> (&'static str, String) {
    let mut segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let prefix = if segments.first() == Some(&"apis") { 3 } else { 2 };
    segments.drain(..prefix.min(segments.len()));
    if segments.first() == Some(&"namespaces") && segments.len() > 2 {
        segments.drain(..2);
    }
    let resource = match segments[..] {
        [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
        [resource, ..] => resource.to_owned(),
        [] => path.to_owned(),
    };
    let verb = match *method {
        Method::GET if query.split('&').any(|part| part == "watch=true") => "watch",
        Method::GET if segments.len() > 1 || segments.is_empty() => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    };
    (verb, resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_called_as_rbac_calls_it() {
        let of = |method: Method, path: &str, query: &str| {
            let (verb, resource) = describe(&method, path, query);
            format!("{verb} {resource}")
        };
        assert_eq!(of(Method::GET, "/api/v1/pods", "limit=500"), "list pods");
        assert_eq!(of(Method::GET, "/api/v1/pods", "a=b&watch=true"), "watch pods");
        assert_eq!(of(Method::GET, "/api/v1/namespaces/x/secrets/s", ""), "get secrets");
        assert_eq!(of(Method::DELETE, "/api/v1/namespaces/x/pods/demo-0", ""), "delete pods");
        assert_eq!(of(Method::POST, "/apis/events.k8s.io/v1/namespaces/x/events", ""), "create events");
        let status = "/apis/greenroom.dev/v1alpha1/namespaces/x/actorclusters/demo/status";
        assert_eq!(of(Method::PATCH, status, ""), "patch actorclusters/status");
        assert_eq!(of(Method::GET, "/version", ""), "get /version");
    }
}
