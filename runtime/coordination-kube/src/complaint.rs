//! Says in the log that the API server fails, once per outage and not once per attempt.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The same complaint is repeated this often while it lasts.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What has been said about one thing.
pub(crate) struct Complaint {
    what: String,
    said: Mutex<Option<(String, Instant)>>,
}

impl Complaint {
    /// `what` goes on in vain, for the log.
    pub(crate) fn about(what: String) -> Self {
        Self { what, said: Mutex::new(None) }
    }

    /// Says it, unless just that was said lately.
    pub(crate) fn say(&self, message: &str) {
        let now = Instant::now();
        let mut said = self.said.lock();
        let known = said
            .as_ref()
            .is_some_and(|(text, at)| text == message && now.saturating_duration_since(*at) < AGAIN_AFTER);
        if !known {
            tracing::warn!(what = %self.what, message, "the API server does not do what is asked; trying again");
            *said = Some((message.to_owned(), now));
        }
    }

    /// All is well again.
    pub(crate) fn take_back(&self) {
        if self.said.lock().take().is_some() {
            tracing::info!(what = %self.what, "the API server answers again");
        }
    }
}
