//! The tables (the crate's head describes them) and how connections are set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::engine::EngineError;

/// Creates a database with empty tables at a path where none is.
pub(crate) fn create(path: &Path) -> Result<(), EngineError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    let tables = connection.transaction()?;
    tables.execute_batch(TABLES)?;
    tables.commit()?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.close().map_err(|(_, error)| error.into())
}

/// `records`, `calls` and `rows` are `WITHOUT ROWID`: they are read in the order of their keys. The numbers of `kind` and
/// `reply_type` stand in `write.rs`.
const TABLES: &str = "
    CREATE TABLE shards (
        shard INTEGER PRIMARY KEY,
        epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        newest_ms INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE records (
        shard INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        prev_epoch INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (shard, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE actors (
        id INTEGER PRIMARY KEY,
        shard INTEGER NOT NULL,
        type TEXT NOT NULL,
        key TEXT NOT NULL,
        state BLOB NOT NULL,
        seq INTEGER NOT NULL,
        commits INTEGER NOT NULL,
        UNIQUE (shard, type, key)
    ) STRICT;

    CREATE TABLE calls (
        actor INTEGER NOT NULL,
        nth INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        call_id BLOB NOT NULL,
        method TEXT NOT NULL,
        arguments_hash INTEGER NOT NULL,
        reply_type INTEGER NOT NULL,
        reply BLOB NOT NULL,
        PRIMARY KEY (actor, nth)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE rows (
        shard INTEGER NOT NULL,
        space INTEGER NOT NULL,
        key BLOB NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (shard, space, key)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX calls_by_age ON calls (shard, at_ms);
";

/// The writer: each commit is synced, checkpoints are ours to start (see the engine's head), and after a large
/// transaction the write-ahead log does not keep its size for ever.
pub(super) fn configure_writer(connection: &Connection, cache_bytes: usize) -> Result<(), EngineError> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    set_cache(connection, cache_bytes)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// A reader: a small cache, since an actor is read once and then lives in memory.
pub(super) fn configure_reader(connection: &Connection) -> Result<(), EngineError> {
    connection.busy_timeout(BUSY)?;
    set_cache(connection, 4 << 20)
}

/// Nobody else writes, but a person with the `sqlite3` shell may hold a lock for a moment.
const BUSY: Duration = Duration::from_secs(5);

/// A negative size is in KiB, a positive one would be in pages.
fn set_cache(connection: &Connection, bytes: usize) -> Result<(), EngineError> {
    let kib = i64::try_from(bytes / 1024).unwrap_or(i64::MAX);
    Ok(connection.pragma_update(None, "cache_size", -kib)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Killing a process cannot show a missing sync, only a power cut can; so the settings themselves are checked.
    #[test]
    fn the_writer_syncs_every_commit_and_leaves_checkpoints_to_the_engine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        create(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        configure_writer(&connection, 8 << 20).unwrap();
        let setting = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        let full = 2;
        assert_eq!(setting("synchronous"), full);
        assert_eq!(setting("wal_autocheckpoint"), 0);
        assert_eq!(setting("cache_size"), -8192);
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}
