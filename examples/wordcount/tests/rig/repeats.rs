//! Counts how often the client library of this process repeated a call: it says so in its log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};

#[derive(Clone, Default)]
pub(crate) struct Repeats(Arc<AtomicUsize>);

impl Repeats {
    /// Listens on this thread until the guard is dropped.
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        let repeats = Self::default();
        let client = Targets::new().with_target("greenroom_client", Level::DEBUG);
        let log = tracing_subscriber::registry().with(repeats.clone().with_filter(client));
        (repeats, tracing::subscriber::set_default(log))
    }

    /// How many there were since the last time.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().fields().field("attempt").is_some() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
