//! What commits are written to, and what an actor is loaded from.
//!
//! A [`Record`] is one commit: what one turn changed, as one atomic batch. Records of one shard form one sequence. The
//! store crate writes them to disk, the memory journal keeps them, the simulation loses them on purpose.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use thiserror::Error;

use crate::codec::Payload;
use crate::identity::{ActorId, CallId, Epoch, Seq, Shard};
use crate::map::NodeRun;
use crate::rows::{RowChange, RowRange};

/// How long a call id is kept, in milliseconds: 10 minutes, more than any caller repeats a call and any frame lives.
pub const CALL_RETENTION_MS: u64 = 10 * 60 * 1000;
/// How many call ids an actor keeps at most; past that the oldest goes first.
pub const CALL_RETENTION_MAX: usize = 16_384;
/// How large the replies of these calls may be together that an actor keeps in memory, in bytes; past that the reply of the
/// oldest goes first, and its id stays.
pub const REPLIES_MAX_BYTES: usize = 16 << 20;

/// One commit of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The shard.
    pub shard: Shard,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The place in the shard.
    pub seq: Seq,
    /// The epoch of the record before; 0 for the first.
    pub prev_epoch: Epoch,
    /// What it does.
    pub kind: RecordKind,
}

/// What a record does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordKind {
    /// The first act of an owner: from here on only this epoch or a later one writes.
    Open(NodeRun),
    /// What one turn changed.
    Commit(Commit),
    /// Rows that the node itself changed, outside of any turn: a message that was taken, for example.
    Rows(Vec<RowChange>),
}

impl Record {
    /// The rows that it changes.
    pub fn rows(&self) -> &[RowChange] {
        match &self.kind {
            RecordKind::Open(_) => &[],
            RecordKind::Commit(commit) => &commit.rows,
            RecordKind::Rows(rows) => rows,
        }
    }
}

/// What one turn changed, together with what the relaxed turns before it have left to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The actor.
    pub actor: ActorId,
    /// The actor's new state, MessagePack.
    pub state: Bytes,
    /// The calls of relaxed turns whose changes this commit carries, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<CallRecord>,
    /// The call that did it, and its reply; the newest one of several.
    pub call: CallRecord,
    /// The rows that it changes, in the order of the changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowChange>,
}

impl Commit {
    /// Every call that it applies, oldest first.
    pub fn calls(&self) -> impl Iterator<Item = &CallRecord> {
        self.earlier.iter().chain([&self.call])
    }
}

/// The deduplication record of a call: whoever repeats it gets the stored reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call's id.
    pub id: CallId,
    /// The method that was called.
    pub method: SmolStr,
    /// `xxh3_64` of the encoded arguments: a repeated id with other arguments is an error.
    pub arguments_hash: u64,
    /// The reply.
    pub reply: Payload,
    /// When it was committed, milliseconds since 1970. Retention counts from here.
    pub at_unix_ms: u64,
}

/// An actor as the journal has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredActor {
    /// The state, if the actor ever committed one.
    pub state: Option<Bytes>,
    /// The calls within their retention, oldest first, with the place of their records.
    pub calls: Vec<(Seq, CallRecord)>,
}

/// The place of a shard's last record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Its epoch; 0 if there is none.
    pub epoch: Epoch,
    /// Its place; 0 if there is none.
    pub seq: Seq,
}

/// "Everything of this shard up to here is on disk."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// The shard.
    pub shard: Shard,
    /// The last durable record.
    pub position: Position,
}

/// Told, in order, what became durable. Called from the journal's own thread: it must not block.
pub type DurableSink = Arc<dyn Fn(&[Durable]) + Send + Sync>;

/// Why the journal cannot do it.
#[derive(Debug, Clone, Error)]
pub enum JournalError {
    /// The queue of commits is full.
    #[error("the commit queue is full ({limit} bytes): the disk is slower than the calls; call again later")]
    Full {
        /// The queue's limit in bytes.
        limit: usize,
    },
    /// The journal has stopped.
    #[error("the store is closed: the node is stopping")]
    Closed,
    /// Reading failed.
    #[error("cannot read {what} from the store: {message}")]
    Read {
        /// What was to be read: an actor, or the rows of a shard.
        what: String,
        /// What the engine said.
        message: String,
    },
}

/// The commit pipeline, as the turn engine sees it.
///
/// A write or sync error never comes back through this trait: it ends the process, because nobody can know what is on
/// the disk after it.
pub trait Journal: Send + Sync + 'static {
    /// Takes the next record of a shard, to be written with the next group. The order of calls is the order in the
    /// journal; the caller makes sure that sequence numbers have no gap. Never blocks.
    fn append(&self, record: Record) -> Result<(), JournalError>;

    /// Reads an actor: its last durable state and its calls within retention. The engine only asks while no record of
    /// this actor is waiting to become durable.
    fn load(&self, shard: Shard, actor: &ActorId) -> BoxFuture<'static, Result<StoredActor, JournalError>>;

    /// Reads durable rows of a shard in the order of their keys, at most `limit`: key and value of each.
    fn rows(
        &self,
        shard: Shard,
        range: RowRange,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(Bytes, Bytes)>, JournalError>>;

    /// The place of a shard's last durable record.
    fn last(&self, shard: Shard) -> BoxFuture<'static, Result<Position, JournalError>>;
}
