//! How the spans of turns become one trace, across calls and nodes.
//!
//! The core knows spans (`tracing`), but not how they are named outside of the process. Whoever collects them installs
//! [`TraceLinks`] before the engine is built; then each turn's span gets the span of its caller as its parent, and what
//! the turn calls carries the turn's own. Without links nothing of this costs anything.

use std::sync::OnceLock;

use tracing::Span;

use crate::request::RequestContext;

/// Knows how spans are named outside of the process.
pub trait TraceLinks: Send + Sync + 'static {
    /// Makes `parent`, as W3C Trace Context writes it, the parent of the span, and returns how the span itself is written.
    fn link(&self, span: &Span, parent: Option<&str>) -> Option<String>;
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

/// Puts the span of a turn in its place in the trace of its call, and the call's further calls below it.
pub(crate) fn link(span: &Span, request: &mut RequestContext) {
    if span.is_disabled() {
        return;
    }
    if let Some(links) = LINKS.get()
        && let Some(own) = links.link(span, request.traceparent())
    {
        request.set_traceparent(&own);
    }
}
