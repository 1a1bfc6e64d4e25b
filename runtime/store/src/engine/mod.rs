//! What stands behind the pipeline: a trait, so that SQLite, memory and later the append-only log are interchangeable.

use bytes::Bytes;
use greenroom_core::journal::{Durable, Record, StoredActor};
use greenroom_core::rows::RowRange;
use greenroom_core::{ActorId, Seq, Shard};
use thiserror::Error;

pub(crate) mod memory;
pub(crate) mod sqlite;

/// Why an engine failed.
#[derive(Debug, Error)]
pub enum EngineError {
    /// SQLite refused, or the disk under it did.
    #[error("the database says: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A record could not be encoded.
    #[error("cannot encode a record: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// A stored record makes no sense.
    #[error("record {seq} of shard {shard} is damaged ({message}): restore the store from a backup")]
    Record {
        /// The shard.
        shard: Shard,
        /// The record's place.
        seq: Seq,
        /// What is wrong with it.
        message: String,
    },
    /// The engine has been closed.
    #[error("the store is closed")]
    Closed,
}

/// Keeps records, and what they add up to. Only the committer thread calls `apply` and `maintain`; reads come from
/// anywhere, at any time, and see whole groups.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Makes a group durable, all of it or nothing. The pipeline has checked that every record fits its chain.
    fn apply(&self, group: &[Record]) -> Result<(), EngineError>;

    /// Work between two groups that no caller waits for.
    fn maintain(&self) -> Result<(), EngineError>;

    /// Reads an actor.
    fn load(&self, shard: Shard, actor: &ActorId) -> Result<StoredActor, EngineError>;

    /// Reads rows of a shard in the order of their keys, at most `limit`.
    fn rows(&self, shard: Shard, range: &RowRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, EngineError>;

    /// The position of every shard that has records, in order.
    fn shards(&self) -> Result<Vec<Durable>, EngineError>;

    /// The records of a shard behind `after` that are still kept, in order.
    fn records(&self, shard: Shard, after: Seq) -> Result<Vec<Record>, EngineError>;

    /// Whether reads wait for a disk, so that they must not run on an async thread.
    fn reads_block(&self) -> bool;

    /// Leaves everything tidy on disk. Afterwards every method fails with [`EngineError::Closed`].
    fn close(&self) -> Result<(), EngineError>;
}

/// How often a shard is cleaned: each time its sequence passes a multiple of this. Rarely enough to cost little, often
/// enough that what goes at once is small.
const CLEAN_EVERY: u64 = 16;

/// Whether records `first..=last` of a shard make a cleaning due, and how many rows it may remove: twice as many as
/// came since the last one, so that a backlog shrinks and no group waits for a long one.
fn cleaning_due(first: Seq, last: Seq) -> Option<u64> {
    let crossed = last.0 / CLEAN_EVERY != first.0.saturating_sub(1) / CLEAN_EVERY;
    crossed.then(|| 2 * CLEAN_EVERY.max(last.0 - first.0 + 1))
}
