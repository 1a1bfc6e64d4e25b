//! The reading connections. Each answer comes from one snapshot, so from whole groups.

use bytes::Bytes;
use greenroom_core::codec::read_stored;
use greenroom_core::journal::{CallRecord, Durable, Position, Record, RecordKind, StoredActor};
use greenroom_core::rows::RowRange;
use greenroom_core::{ActorId, CallId, ContentType, Epoch, Payload, Seq, Shard};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::write::{KIND_COMMIT, KIND_OPEN, KIND_ROWS, signed};
use crate::engine::EngineError;
use crate::options::Retention;

pub(super) fn load(
    connection: &mut Connection,
    shard: Shard,
    actor: &ActorId,
    retention: &Retention,
) -> Result<StoredActor, EngineError> {
    // One transaction, so that state and calls belong together.
    let snapshot = connection.transaction()?;
    let found = snapshot
        .prepare_cached(
            "SELECT actors.id, actors.state, actors.commits, shards.newest_ms FROM actors JOIN shards USING (shard)
             WHERE actors.shard = ?1 AND actors.type = ?2 AND actors.key = ?3",
        )?
        .query_row(params![shard.0, actor.actor_type.as_str(), &*actor.key], |row| {
            Ok((row.get::<_, i64>(0)?, bytes(row, 1)?, row.get::<_, i64>(2)?, unsigned(row, 3)?))
        })
        .optional()?;
    let Some((id, state, commits, newest_ms)) = found else { return Ok(StoredActor::default()) };

    let horizon = newest_ms.saturating_sub(retention.call_ms);
    let too_many = commits.saturating_sub_unsigned(retention.calls_per_actor as u64);
    let calls = snapshot
        .prepare_cached(
            "SELECT seq, call_id, method, arguments_hash, reply_type, reply, at_ms FROM calls
             WHERE actor = ?1 AND nth > ?2 AND at_ms >= ?3 ORDER BY nth",
        )?
        .query_map(params![id, too_many, signed(horizon)], call)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(StoredActor { state: Some(state), calls })
}

/// SQLite compares blobs as `memcmp` does, so this is the order of the keys.
pub(super) fn rows(
    connection: &Connection,
    shard: Shard,
    range: &RowRange,
    limit: usize,
) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
    let mut select = connection.prepare_cached(
        "SELECT key, value FROM rows WHERE shard = ?1 AND space = ?2 AND key >= ?3 AND (?4 IS NULL OR key < ?4)
         ORDER BY key LIMIT ?5",
    )?;
    let until = range.until.as_ref().map(|until| &until[..]);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let row = params![shard.0, range.space.0, &range.from[..], until, limit];
    let found = select.query_map(row, |row| Ok((bytes(row, 0)?, bytes(row, 1)?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn shards(connection: &Connection) -> Result<Vec<Durable>, EngineError> {
    let mut select = connection.prepare_cached("SELECT shard, epoch, seq FROM shards ORDER BY shard")?;
    let rows = select.query_map([], |row| {
        let position = Position { epoch: Epoch(unsigned(row, 1)?), seq: Seq(unsigned(row, 2)?) };
        Ok(Durable { shard: Shard(row.get(0)?), position })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn records(connection: &Connection, shard: Shard, after: Seq) -> Result<Vec<Record>, EngineError> {
    let mut select = connection.prepare_cached(
        "SELECT seq, epoch, prev_epoch, kind, payload FROM records WHERE shard = ?1 AND seq > ?2 ORDER BY seq",
    )?;
    let mut rows = select.query(params![shard.0, signed(after.0)])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = Seq(unsigned(row, 0)?);
        let kind = kind(row.get(3)?, row.get_ref(4)?.as_blob().map_err(|e| column(4, e))?)
            .map_err(|message| EngineError::Record { shard, seq, message })?;
        let (epoch, prev_epoch) = (Epoch(unsigned(row, 1)?), Epoch(unsigned(row, 2)?));
        records.push(Record { shard, epoch, seq, prev_epoch, kind });
    }
    Ok(records)
}

fn kind(kind: u8, payload: &[u8]) -> Result<RecordKind, String> {
    match kind {
        KIND_OPEN => read_stored(payload).map(RecordKind::Open).map_err(|e| e.to_string()),
        KIND_COMMIT => read_stored(payload).map(RecordKind::Commit).map_err(|e| e.to_string()),
        KIND_ROWS => read_stored(payload).map(RecordKind::Rows).map_err(|e| e.to_string()),
        unknown => Err(format!("kind {unknown} is unknown")),
    }
}

fn call(row: &Row<'_>) -> rusqlite::Result<(Seq, CallRecord)> {
    let content_type = match row.get(4)? {
        0u8 => ContentType::Msgpack,
        1 => ContentType::Json,
        2 => ContentType::Protobuf,
        unknown => return Err(rusqlite::Error::IntegralValueOutOfRange(4, unknown.into())),
    };
    let call = CallRecord {
        id: CallId::from_bytes(row.get_ref(1)?.as_blob().map_err(|e| column(1, e))?)
            .map_err(|e| column(1, e))?,
        method: row.get_ref(2)?.as_str().map_err(|e| column(2, e))?.into(),
        arguments_hash: unsigned(row, 3)?,
        reply: Payload { content_type, data: bytes(row, 5)? },
        at_unix_ms: unsigned(row, 6)?,
    };
    Ok((Seq(unsigned(row, 0)?), call))
}

fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(index).map(i64::cast_unsigned)
}

fn bytes(row: &Row<'_>, index: usize) -> rusqlite::Result<Bytes> {
    row.get_ref(index)?.as_blob().map(Bytes::copy_from_slice).map_err(|e| column(index, e))
}

fn column(index: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Blob, Box::new(error))
}
