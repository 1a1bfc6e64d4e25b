//! What the pipeline counts for the node's metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the buckets of [`StoreStats::commit_time_buckets`], in microseconds; the last bucket has none.
pub const COMMIT_TIME_BOUNDS_US: [u64; 11] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000];

const BUCKETS: usize = COMMIT_TIME_BOUNDS_US.len() + 1;

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Groups committed; each is one transaction and one sync.
    pub groups: u64,
    /// Records committed.
    pub records: u64,
    /// Their size, in bytes, as the queue counts it.
    pub bytes: u64,
    /// How many records the last group had.
    pub last_group_records: u64,
    /// Commits refused because the queue was full.
    pub refused: u64,
    /// Bytes that wait for the disk now.
    pub queued_bytes: u64,
    /// How long the groups took in all, from the first write to the end of the sync.
    pub commit_time: Duration,
    /// How many groups took how long; the bounds are [`COMMIT_TIME_BOUNDS_US`].
    pub commit_time_buckets: [u64; BUCKETS],
}

/// The same as counters. Only the committer writes most of them, so a snapshot may be one group apart in itself.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    groups: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    last_group_records: AtomicU64,
    refused: AtomicU64,
    commit_ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Counters {
    pub(crate) fn group(&self, records: usize, bytes: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = COMMIT_TIME_BOUNDS_US.partition_point(|&bound| bound < micros);
        self.groups.fetch_add(1, Relaxed);
        self.records.fetch_add(records as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.last_group_records.store(records as u64, Relaxed);
        self.commit_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.buckets[bucket].fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self, queued_bytes: usize) -> StoreStats {
        StoreStats {
            groups: self.groups.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            last_group_records: self.last_group_records.load(Relaxed),
            refused: self.refused.load(Relaxed),
            queued_bytes: queued_bytes as u64,
            commit_time: Duration::from_nanos(self.commit_ns.load(Relaxed)),
            commit_time_buckets: std::array::from_fn(|i| self.buckets[i].load(Relaxed)),
        }
    }
}
