//! SQLite: one database for all shards of the store, one writing connection, a few reading ones.
//!
//! A shard is a key prefix and not a database of its own: a commit over 64 files costs a hundred times what a commit
//! over one costs. Readers work on the write-ahead log's snapshots, so they neither wait for the writer nor see half a
//! group.
//!
//! The write-ahead log is copied into the database (a checkpoint) between two groups, by [`Engine::maintain`], and not
//! by SQLite inside a commit: there it would delay callers, and SQLite would swallow its errors.

mod read;
mod schema;
mod write;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use greenroom_core::journal::{Durable, Record, StoredActor};
use greenroom_core::rows::RowRange;
use greenroom_core::{ActorId, Seq, Shard};
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use self::write::Writer;
use super::{Engine, EngineError};
use crate::lock::Lock;
use crate::options::Retention;

pub(crate) use self::schema::create;

/// SQLite before this version can corrupt a database when one connection checkpoints while another one writes.
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;
/// How many idle reading connections are kept open.
const IDLE_READERS: usize = 4;

pub(crate) struct SqliteEngine {
    path: PathBuf,
    /// `None` when closed.
    writer: Mutex<Option<Writer>>,
    /// The idle ones; `None` when closed.
    readers: Mutex<Option<Vec<Connection>>>,
    retention: Retention,
    /// Released when the last file is closed: then the next process may come.
    lock: Mutex<Option<Lock>>,
}

/// The version of the SQLite in this program, if it must not be used.
pub(crate) fn unsafe_version() -> Option<&'static str> {
    (rusqlite::version_number() < OLDEST_SAFE_SQLITE).then(rusqlite::version)
}

impl SqliteEngine {
    /// Opens a database that [`create`] has made, in a locked directory. SQLite brings it to the last complete group
    /// by itself.
    pub(crate) fn open(
        path: &Path,
        lock: Lock,
        cache_bytes: usize,
        retention: Retention,
    ) -> Result<Self, EngineError> {
        let writer = Writer::open(path, cache_bytes, retention)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(Some(writer)),
            readers: Mutex::new(Some(Vec::new())),
            retention,
            lock: Mutex::new(Some(lock)),
        })
    }

    fn write<T>(&self, write: impl FnOnce(&mut Writer) -> Result<T, EngineError>) -> Result<T, EngineError> {
        write(self.writer.lock().as_mut().ok_or(EngineError::Closed)?)
    }

    /// Lends a reading connection. One that met an error is not used again.
    fn read<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let idle = self.readers.lock().as_mut().ok_or(EngineError::Closed)?.pop();
        let mut connection = idle.map_or_else(|| self.open_reader(), Ok)?;
        let found = read(&mut connection)?;
        match self.readers.lock().as_mut() {
            Some(readers) if readers.len() < IDLE_READERS => readers.push(connection),
            _ => drop(connection),
        }
        Ok(found)
    }

    fn open_reader(&self) -> Result<Connection, EngineError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        schema::configure_reader(&connection)?;
        Ok(connection)
    }
}

impl Engine for SqliteEngine {
    fn apply(&self, group: &[Record]) -> Result<(), EngineError> {
        self.write(|writer| writer.apply(group))
    }

    fn maintain(&self) -> Result<(), EngineError> {
        self.write(|writer| writer.checkpoint_if_long())
    }

    fn load(&self, shard: Shard, actor: &ActorId) -> Result<StoredActor, EngineError> {
        self.read(|connection| read::load(connection, shard, actor, &self.retention))
    }

    fn rows(&self, shard: Shard, range: &RowRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        self.read(|connection| read::rows(connection, shard, range, limit))
    }

    fn shards(&self) -> Result<Vec<Durable>, EngineError> {
        self.read(|connection| read::shards(connection))
    }

    fn records(&self, shard: Shard, after: Seq) -> Result<Vec<Record>, EngineError> {
        self.read(|connection| read::records(connection, shard, after))
    }

    fn reads_block(&self) -> bool {
        true
    }

    fn close(&self) -> Result<(), EngineError> {
        let writer = self.writer.lock().take();
        // Readers first: the last connection to close is the one that can clear the write-ahead log away.
        *self.readers.lock() = None;
        let closed = writer.map_or(Ok(()), Writer::close);
        self.lock.lock().take();
        closed
    }
}
