//! The commit pipeline: what makes a turn durable.
//!
//! One [`Store`] per node takes the commits of all its shards ([`Journal`](greenroom_core::journal::Journal)), writes
//! everything that is waiting as **one** SQLite transaction, and then tells the sink, once per group, how far each shard
//! is durable. The way of a record:
//!
//! ```text
//! append ──► queue ──► committer thread ──► chain ──► engine.apply ──► positions ──► sink ──► maintenance
//!            (bytes,    (takes all that      (I1)      (one sync)                     (the output
//!             else Full) is waiting)                                                    gate opens)
//! ```
//!
//! # What is guaranteed
//! - **A turn is one commit with the deduplication record of its call.** The record, the actor's new state, the call's
//!   reply and the shard's position stand in the same transaction: after any crash all of them are there or none.
//! - **No loss window.** What the sink was told is on disk (write-ahead log, `synchronous=FULL`): it survives the end of
//!   the process and the loss of power, as far as the disk honours a sync.
//! - **After a crash each shard is a prefix of its sequence**, and a group is there as a whole or not at all, so no shard
//!   is ahead of another one whose record stood in the same group.
//! - **I1 holds here too.** A record with a gap before it, another history behind it, or an epoch that is not the last
//!   one opened ends the process ([`Damage`]); it is never skipped.
//! - **A failed write or sync ends the process** ([`Failure`]): nobody can know what is on the disk after it, and a
//!   repeated sync may succeed without having written anything.
//!
//! # The store directory
//! | file | what |
//! |---|---|
//! | `lock` | held while a process has the store open; its content is that process' id, for the error message |
//! | `store.json` | `{format, store, cluster, engine, incarnation}`, and `refused` once the cluster has refused it; only ever replaced by a rename |
//! | `store.db` | the SQLite database (beside it `store.db-wal` and `store.db-shm` while the store is open) |
//!
//! Incarnation 0 says "formatted, never run": nothing was ever committed, so a database that is missing then is made
//! anew, and at any later incarnation it is an error. See [`StoreError`] for what is refused, and how to go on.
//!
//! # The tables, format 2
//! All tables are `STRICT`. Unsigned 64-bit numbers are kept as SQLite's signed ones with the same bits; times are
//! milliseconds since 1970.
//!
//! | table | key | columns |
//! |---|---|---|
//! | `shards` | `shard` | `epoch`, `seq`: the place of the last record; `newest_ms`: the highest time stamp of a commit |
//! | `records` | `shard, seq` | `epoch`, `prev_epoch`, `kind` (1 open, 2 commit, 3 rows), `payload`: the [`NodeRun`], the [`Commit`] or the changed rows in MessagePack |
//! | `actors` | `id`; unique `shard, type, key` | `state`: MessagePack; `seq`: of the last commit; `commits`: how many calls they applied |
//! | `calls` | `actor` (`actors.id`), `nth` | `shard`, `at_ms`, `seq`, `call_id` (16 bytes, big-endian), `method`, `arguments_hash`, `reply_type` (0 MessagePack, 1 JSON), `reply`; index on `shard, at_ms` |
//! | `rows` | `shard, space, key` | `value`: see [`rows`](greenroom_core::rows) |
//!
//! `calls.nth` counts the actor's applied calls, so "the newest 16,384" is a range of the key.
//!
//! # What is kept, and how long
//! [`Retention`] says it. The rules look at records only, never at a clock, so every copy of a shard keeps the same:
//! a call is kept while it is among the newest `calls_per_actor` of its actor **and** not more than `call_ms` older
//! than the newest commit of its *shard*. [`load`](greenroom_core::journal::Journal::load) applies exactly that rule;
//! the rows themselves go a little later, a few with each group, so that no group ever waits for a long clean-up.
//! Records already applied are trimmed the same way; at least the last `records_per_shard` of each shard stay.
//!
//! [`NodeRun`]: greenroom_core::map::NodeRun
//! [`Commit`]: greenroom_core::journal::Commit

mod chain;
mod engine;
mod error;
mod format;
mod lock;
mod options;
mod pipeline;
mod stats;
mod store;

pub use chain::{Break, Damage};
pub use engine::EngineError;
pub use error::{Failure, StoreError};
pub use options::{FailureHook, Retention, StoreOptions};
pub use stats::{COMMIT_TIME_BOUNDS_US, StoreStats};
pub use store::Store;
