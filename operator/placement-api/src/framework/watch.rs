//! The stream of a watch: one JSON event a line.
//!
//! A watch is a task that writes into a channel of [`WAITING`] lines. A client that takes none of them for
//! [`PATIENCE`] loses its connection, so that it holds neither memory nor a place in anybody's history.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderValue, header};
use prometheus::IntGauge;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::answer::{self, Writer};
use super::errors::ApiError;
use super::query::WatchOptions;
use super::version::Version;
use super::{Event, Object, Watched};

/// Lines that may wait for a client.
const WAITING: usize = 256;
/// How long a client may take none.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a client is told how far it is, if it wants to know.
pub const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// The annotation of the bookmark after the first objects.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// The answer to a watch that begins.
pub fn respond<O: Object>(
    watched: Watched<O>,
    options: WatchOptions,
    writer: Writer,
    open: IntGauge,
) -> Response {
    let (lines, body) = mpsc::channel(WAITING);
    let warnings = watched.warnings.clone();
    tokio::spawn(async move {
        open.inc();
        run(watched, options, writer, lines).await;
        open.dec();
    });
    let mut response = stream(Body::from_stream(ReceiverStream::new(body)));
    answer::warn(response.headers_mut(), &warnings);
    response
}

/// The answer to a watch that cannot begin there.
pub fn refuse(error: &ApiError) -> Response {
    stream(Body::from(line(&answer::error_event(error))))
}

fn stream(body: Body) -> Response {
    let content_type = HeaderValue::from_static("application/json;stream=watch");
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

type Lines = mpsc::Sender<Result<Bytes, std::convert::Infallible>>;

async fn run<O: Object>(mut watched: Watched<O>, options: WatchOptions, writer: Writer, lines: Lines) {
    let end = tokio::time::sleep(options.timeout);
    tokio::pin!(end);
    let mut pace = Bookmarks { wanted: options, next: Instant::now() + BOOKMARK_PERIOD };
    loop {
        let event = tokio::select! {
            () = &mut end => return,
            () = lines.closed() => return,
            event = watched.events.next() => event,
        };
        let (event, last) = match event {
            None => return,
            Some(Ok(event)) => (pace.write(&event, &writer), false),
            Some(Err(error)) => (Some(answer::error_event(&error)), true),
        };
        let Some(event) = event else { continue };
        // The channel is full for so long, or the client is gone.
        if !matches!(timeout(PATIENCE, lines.send(Ok(line(&event)))).await, Ok(Ok(()))) || last {
            return;
        }
    }
}

/// Decides which bookmarks are sent.
struct Bookmarks {
    wanted: WatchOptions,
    next: Instant,
}

impl Bookmarks {
    /// The event as the client gets it; `None` if it is not to get it.
    fn write<O: Object>(&mut self, event: &Event<O>, writer: &Writer) -> Option<Value> {
        let bookmark = |version: &Version, annotations: Value| json!({ "type": "BOOKMARK", "object": writer.bookmark(*version, annotations) });
        match event {
            Event::Added(object) => Some(json!({ "type": "ADDED", "object": writer.one(object) })),
            Event::Deleted(object) => Some(json!({ "type": "DELETED", "object": writer.one(object) })),
            Event::Initial(version) if self.wanted.mark_initial => {
                Some(bookmark(version, json!({ INITIAL_END: "true" })))
            }
            Event::Progress(version) if self.wanted.bookmarks && Instant::now() >= self.next => {
                self.next = Instant::now() + BOOKMARK_PERIOD;
                Some(bookmark(version, Value::Null))
            }
            Event::Initial(_) | Event::Progress(_) => None,
        }
    }
}
