//! How the spans of turns become one trace, across calls and nodes.
//!
//! The core knows spans (`tracing`), but not how they are named outside of the process. Whoever collects them installs
//! [`TraceLinks`] before the engine is built. Then the span of a call has the span of its caller as its parent: the caller
//! waits for it. What nobody waits for begins a trace of its own, whose first span has a link to the span that set it in
//! motion. What a turn sets in motion carries the turn's own span. Without links nothing of this costs anything.

use std::sync::OnceLock;

use tracing::Span;

use crate::filter::Way;
use crate::request::RequestContext;

/// Knows how spans are named outside of the process, as W3C Trace Context writes it.
pub trait TraceLinks: Send + Sync + 'static {
    /// Makes `parent` the parent of the span, and returns how the span itself is written.
    fn link(&self, span: &Span, parent: Option<&str>) -> Option<String>;

    /// Begins a trace with the span, links it to `earlier`, and returns how the span itself is written.
    fn follow(&self, span: &Span, earlier: Option<&str>) -> Option<String>;
}

static LINKS: OnceLock<Box<dyn TraceLinks>> = OnceLock::new();

/// Links spans from now on. Only the first call in a process has an effect, on engines that are built after it.
pub fn install(links: Box<dyn TraceLinks>) {
    // A second collector would be a mistake of the program, and the first is as good.
    let _ = LINKS.set(links);
}

pub(crate) fn is_on() -> bool {
    LINKS.get().is_some()
}

/// Puts the span of a turn in its place among the spans of what set it in motion, and what the turn sets in motion behind it.
pub(crate) fn link(span: &Span, way: Way, request: &mut RequestContext) {
    if span.is_disabled() {
        return;
    }
    let Some(links) = LINKS.get() else { return };
    let own = match way {
        Way::Call => links.link(span, request.traceparent()),
        _ => links.follow(span, request.traceparent()),
    };
    if let Some(own) = own {
        request.set_traceparent(&own);
    }
}
