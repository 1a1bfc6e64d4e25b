//! The writing connection: a group of records as one transaction.

use std::path::Path;

use greenroom_core::journal::{CallRecord, Commit, Durable, Position, Record, RecordKind};
use greenroom_core::rows::RowChange;
use greenroom_core::{ContentType, Seq, Shard};
use rusqlite::{CachedStatement, Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::schema;
use crate::engine::{EngineError, cleaning_due};
use crate::options::Retention;

/// `records.kind` of an opening record.
pub(super) const KIND_OPEN: u8 = 1;
/// `records.kind` of a commit.
pub(super) const KIND_COMMIT: u8 = 2;
/// `records.kind` of rows that changed outside of a turn.
pub(super) const KIND_ROWS: u8 = 3;

/// The write-ahead log is copied into the database when it has this many pages (of 4 KiB).
const CHECKPOINT_PAGES: i32 = 1_000;
/// An actor's calls beyond their number are removed each time so many more have been added.
const TRIM_CALLS_EVERY: i64 = 64;

pub(super) struct Writer {
    connection: Connection,
    retention: Retention,
    /// Reused for each record's payload.
    payload: Vec<u8>,
    /// Reused for the shards that a group touches.
    touched: Vec<Touched>,
}

/// What a group does to one shard as a whole.
struct Touched {
    first: Seq,
    newest_ms: u64,
    last: Durable,
}

impl Writer {
    pub(super) fn open(path: &Path, cache_bytes: usize, retention: Retention) -> Result<Self, EngineError> {
        // Never created here: a missing database is an error.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        schema::configure_writer(&connection, cache_bytes)?;
        Ok(Self { connection, retention, payload: Vec::new(), touched: Vec::new() })
    }

    pub(super) fn apply(&mut self, group: &[Record]) -> Result<(), EngineError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut statements = Statements::prepare(&transaction)?;
        self.touched.clear();
        for record in group {
            statements.append(record, &mut self.payload)?;
            match &record.kind {
                RecordKind::Open(_) => {}
                RecordKind::Commit(commit) => statements.apply_commit(record, commit, &self.retention)?,
                RecordKind::Rows(rows) => statements.change_rows(record.shard, rows)?,
            }
            self.touched.push(Touched::by(record));
        }
        // Stable: the records of a shard keep their order.
        self.touched.sort_by_key(|touched| touched.last.shard);
        self.touched.dedup_by(|later, earlier| earlier.absorb(later));
        for shard in &self.touched {
            statements.advance(shard, &self.retention)?;
        }
        drop(statements);
        Ok(transaction.commit()?)
    }

    pub(super) fn checkpoint_if_long(&mut self) -> Result<(), EngineError> {
        let pages: i32 =
            self.connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], log_pages)?;
        if pages < CHECKPOINT_PAGES { Ok(()) } else { self.checkpoint() }
    }

    fn checkpoint(&mut self) -> Result<(), EngineError> {
        self.connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], log_pages)?;
        Ok(())
    }

    pub(super) fn close(mut self) -> Result<(), EngineError> {
        self.checkpoint()?;
        self.connection.close().map_err(|(_, error)| error.into())
    }
}

/// A checkpoint answers (busy, pages in the log, pages copied).
fn log_pages(row: &rusqlite::Row<'_>) -> rusqlite::Result<i32> {
    row.get(1)
}

impl Touched {
    fn by(record: &Record) -> Self {
        let newest_ms = match &record.kind {
            RecordKind::Commit(commit) => commit.calls().map(|call| call.at_unix_ms).max().unwrap_or(0),
            RecordKind::Open(_) | RecordKind::Rows(_) => 0,
        };
        let position = Position { epoch: record.epoch, seq: record.seq };
        Self { first: record.seq, newest_ms, last: Durable { shard: record.shard, position } }
    }

    /// Takes in what a later record does to the same shard.
    fn absorb(&mut self, later: &Self) -> bool {
        let same = self.last.shard == later.last.shard;
        if same {
            self.newest_ms = self.newest_ms.max(later.newest_ms);
            self.last = later.last;
        }
        same
    }
}

/// The statements of a group, looked up once.
struct Statements<'t> {
    append: CachedStatement<'t>,
    set_actor: CachedStatement<'t>,
    add_call: CachedStatement<'t>,
    trim_calls: CachedStatement<'t>,
    put_row: CachedStatement<'t>,
    remove_row: CachedStatement<'t>,
    advance: CachedStatement<'t>,
    trim_records: CachedStatement<'t>,
    expire_calls: CachedStatement<'t>,
}

impl<'t> Statements<'t> {
    fn prepare(transaction: &'t Transaction<'_>) -> Result<Self, EngineError> {
        Ok(Self {
            append: transaction.prepare_cached(
                "INSERT INTO records (shard, seq, epoch, prev_epoch, kind, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            set_actor: transaction.prepare_cached(
                "INSERT INTO actors (shard, type, key, state, seq, commits) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (shard, type, key)
                 DO UPDATE SET state = excluded.state, seq = excluded.seq, commits = actors.commits + excluded.commits
                 RETURNING id, commits",
            )?,
            add_call: transaction.prepare_cached(
                "INSERT INTO calls (actor, nth, shard, at_ms, seq, call_id, method, arguments_hash, reply_type, reply)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?,
            trim_calls: transaction.prepare_cached("DELETE FROM calls WHERE actor = ?1 AND nth <= ?2")?,
            put_row: transaction.prepare_cached(
                "INSERT INTO rows (shard, space, key, value) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (shard, space, key) DO UPDATE SET value = excluded.value",
            )?,
            remove_row: transaction
                .prepare_cached("DELETE FROM rows WHERE shard = ?1 AND space = ?2 AND key = ?3")?,
            advance: transaction.prepare_cached(
                "INSERT INTO shards (shard, epoch, seq, newest_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (shard) DO UPDATE SET
                 epoch = excluded.epoch, seq = excluded.seq, newest_ms = max(shards.newest_ms, excluded.newest_ms)
                 RETURNING newest_ms",
            )?,
            trim_records: transaction.prepare_cached(
                "DELETE FROM records WHERE shard = ?1 AND seq IN
                 (SELECT seq FROM records WHERE shard = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3)",
            )?,
            expire_calls: transaction.prepare_cached(
                "DELETE FROM calls WHERE (actor, nth) IN
                 (SELECT actor, nth FROM calls WHERE shard = ?1 AND at_ms < ?2 ORDER BY at_ms LIMIT ?3)",
            )?,
        })
    }

    fn append(&mut self, record: &Record, payload: &mut Vec<u8>) -> Result<(), EngineError> {
        let kind = match &record.kind {
            RecordKind::Open(run) => encode(KIND_OPEN, run, payload)?,
            RecordKind::Commit(commit) => encode(KIND_COMMIT, commit, payload)?,
            RecordKind::Rows(rows) => encode(KIND_ROWS, rows, payload)?,
        };
        let Record { shard, epoch, seq, prev_epoch, .. } = record;
        let row = params![shard.0, signed(seq.0), signed(epoch.0), signed(prev_epoch.0), kind, &payload[..]];
        self.append.execute(row)?;
        Ok(())
    }

    fn apply_commit(
        &mut self,
        record: &Record,
        commit: &Commit,
        retention: &Retention,
    ) -> Result<(), EngineError> {
        let Commit { actor, state, earlier, rows, .. } = commit;
        self.change_rows(record.shard, rows)?;
        let actor_type = actor.actor_type.as_str();
        let calls = earlier.len() as i64 + 1;
        let row = params![record.shard.0, actor_type, &*actor.key, &state[..], signed(record.seq.0), calls];
        let (id, last): (i64, i64) = self.set_actor.query_row(row, |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (nth, call) in (last - calls + 1..).zip(commit.calls()) {
            self.add_call(id, nth, record, call)?;
        }
        let last_to_go = last - i64::try_from(retention.calls_per_actor).unwrap_or(i64::MAX);
        let trims = last / TRIM_CALLS_EVERY > (last - calls) / TRIM_CALLS_EVERY;
        if last_to_go > 0 && trims {
            self.trim_calls.execute(params![id, last_to_go])?;
        }
        Ok(())
    }

    fn change_rows(&mut self, shard: Shard, rows: &[RowChange]) -> Result<(), EngineError> {
        for RowChange { space, key, value } in rows {
            match value {
                Some(value) => self.put_row.execute(params![shard.0, space.0, &key[..], &value[..]])?,
                None => self.remove_row.execute(params![shard.0, space.0, &key[..]])?,
            };
        }
        Ok(())
    }

    fn add_call(
        &mut self,
        actor: i64,
        nth: i64,
        record: &Record,
        call: &CallRecord,
    ) -> Result<(), EngineError> {
        self.add_call.execute(params![
            actor,
            nth,
            record.shard.0,
            signed(call.at_unix_ms),
            signed(record.seq.0),
            call.id.to_bytes(),
            &*call.method,
            signed(call.arguments_hash),
            reply_type(call.reply.content_type),
            &call.reply.data[..],
        ])?;
        Ok(())
    }

    /// Moves a shard's position on, and removes a little of what has become old.
    fn advance(&mut self, shard: &Touched, retention: &Retention) -> Result<(), EngineError> {
        let Durable { shard: Shard(number), position: Position { epoch, seq } } = shard.last;
        let row = params![number, signed(epoch.0), signed(seq.0), signed(shard.newest_ms)];
        let newest_ms: i64 = self.advance.query_row(row, |row| row.get(0))?;
        if let Some(budget) = cleaning_due(shard.first, seq) {
            let horizon = newest_ms.cast_unsigned().saturating_sub(retention.call_ms);
            self.expire_calls.execute(params![number, signed(horizon), signed(budget)])?;
            let last_to_go = seq.0.saturating_sub(retention.records_per_shard as u64);
            self.trim_records.execute(params![number, signed(last_to_go), signed(budget)])?;
        }
        Ok(())
    }
}

fn encode(kind: u8, value: &impl Serialize, into: &mut Vec<u8>) -> Result<u8, EngineError> {
    into.clear();
    rmp_serde::encode::write_named(into, value)?;
    Ok(kind)
}

/// SQLite has signed numbers only: the same bits. Places, epochs and times are far from the sign bit.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn reply_type(content_type: ContentType) -> u8 {
    match content_type {
        ContentType::Msgpack => 0,
        ContentType::Json => 1,
        ContentType::Protobuf => 2,
    }
}
