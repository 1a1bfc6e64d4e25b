//! What can be set when a store is opened.

use std::fmt;
use std::sync::Arc;

use greenroom_core::journal::{CALL_RETENTION_MAX, CALL_RETENTION_MS};

use crate::error::Failure;

/// Called once, on the committer thread, when the store can no longer promise anything. By then it takes no more
/// records and tells the sink nothing more.
pub type FailureHook = Arc<dyn Fn(&Failure) + Send + Sync>;

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// The name of the cluster that the store belongs to; a store of another cluster is refused.
    pub cluster: String,
    /// How many bytes of commits may wait for the disk. Each counts as at least 512 bytes, so this bounds their number
    /// too. A commit larger than this is taken when nothing else waits.
    pub queue_bytes: usize,
    /// How much memory the writing connection may use for pages of the database.
    pub cache_bytes: usize,
    /// What is kept of the past.
    pub retention: Retention,
    /// What to do after a failed write, or when a record does not fit. The default logs it and aborts the process; a
    /// hook that returns leaves a store behind that answers `Closed`.
    pub on_failure: FailureHook,
}

impl StoreOptions {
    /// The defaults, for a store of this cluster.
    pub fn new(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            queue_bytes: 64 << 20,
            cache_bytes: 32 << 20,
            retention: Retention::default(),
            on_failure: Arc::new(end_process),
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("cluster", &self.cluster)
            .field("queue_bytes", &self.queue_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

/// What is kept of the past. The turn engine relies on the defaults; other values are for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How much older than the newest commit of its shard a call may be, in milliseconds.
    pub call_ms: u64,
    /// How many calls an actor keeps at most.
    pub calls_per_actor: usize,
    /// How many records at the end of each shard stay readable after they were applied.
    pub records_per_shard: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { call_ms: CALL_RETENTION_MS, calls_per_actor: CALL_RETENTION_MAX, records_per_shard: 64 }
    }
}

/// Ends the process at once: whatever runs on could answer a caller on the strength of a commit that may be lost.
fn end_process(failure: &Failure) {
    tracing::error!(%failure, "the store cannot go on; ending the process");
    // Whoever has installed no subscriber still learns why the process is gone.
    eprintln!("greenroom: the store cannot go on, ending the process: {failure}");
    std::process::abort();
}
