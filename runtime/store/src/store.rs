//! The store: an engine behind the pipeline, and the directory that they live in.

use std::fmt;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use greenroom_core::journal::{Durable, DurableSink, Journal, JournalError, Position, Record, StoredActor};
use greenroom_core::map::NodeRun;
use greenroom_core::rows::RowRange;
use greenroom_core::{ActorId, Incarnation, Seq, Shard, StoreId};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::engine::memory::MemoryEngine;
use crate::engine::sqlite::{self, SqliteEngine};
use crate::engine::{Engine, EngineError};
use crate::error::StoreError;
use crate::format;
use crate::lock::Lock;
use crate::options::StoreOptions;
use crate::pipeline::Pipeline;
use crate::stats::StoreStats;

/// How many reads may be at the disk at once. More of them would only take threads from each other.
const PARALLEL_READS: usize = 8;

/// What one node keeps: every commit of its shards. The crate's head says what is guaranteed.
///
/// Dropping it closes it; [`close`](Self::close) also says whether that went well.
pub struct Store {
    run: NodeRun,
    had_data: bool,
    engine: Arc<dyn Engine>,
    pipeline: Pipeline,
    reads: Arc<Semaphore>,
    /// Where the files are, if there are any.
    dir: Option<PathBuf>,
}

impl Store {
    /// Opens the store in a directory, formatting it if it is empty, and begins a new run on it: the incarnation is
    /// raised durably. The sink is told, from the store's own thread, what became durable; it must not block.
    ///
    /// Blocks on the disk for some milliseconds.
    ///
    /// # Errors
    /// Whatever must not be opened: in use by another process, of another cluster, format or engine, damaged.
    pub fn open(dir: &Path, options: StoreOptions, sink: DurableSink) -> Result<Self, StoreError> {
        if let Some(found) = sqlite::unsafe_version() {
            return Err(StoreError::OldSqlite { found });
        }
        format::create_dir(dir)?;
        let lock = Lock::take(dir)?;
        let run = format::begin_run(dir, &options.cluster, &mut format::no_stop)?;
        let path = format::database(dir);
        let engine = SqliteEngine::open(&path, lock, options.cache_bytes, options.retention)?;
        let mut store = Self::start(run, Arc::new(engine), &options, sink)?;
        store.dir = Some(dir.to_owned());
        Ok(store)
    }

    /// A store without files, for one process and its life: a random id, incarnation 1.
    ///
    /// # Errors
    /// Only if no thread can be started.
    pub fn memory(options: StoreOptions, sink: DurableSink) -> Result<Self, StoreError> {
        let run = NodeRun { store: StoreId(Uuid::now_v7()), incarnation: Incarnation(1) };
        Self::start(run, Arc::new(MemoryEngine::new(options.retention)), &options, sink)
    }

    fn start(
        run: NodeRun,
        engine: Arc<dyn Engine>,
        options: &StoreOptions,
        sink: DurableSink,
    ) -> Result<Self, StoreError> {
        let had_data = !engine.shards()?.is_empty();
        let pipeline = Pipeline::start(engine.clone(), options, sink)?;
        let reads = Arc::new(Semaphore::new(PARALLEL_READS));
        tracing::info!(store = %run.store, incarnation = %run.incarnation, had_data, "store open");
        Ok(Self { run, had_data, engine, pipeline, reads, dir: None })
    }

    /// Which store this is, and which run on it.
    pub fn run(&self) -> NodeRun {
        self.run
    }

    /// Whether it held records of any shard when it was opened. A store with data must not join a cluster whose map
    /// does not know it.
    pub fn had_data(&self) -> bool {
        self.had_data
    }

    /// Lets no run begin on this store any more, because the cluster has found that its volume was set back. Every start
    /// raises the incarnation, so without this mark a node that is started again and again would in the end exceed the
    /// highest one that the cluster has seen, and be taken with old data. A store without files has nothing to mark.
    pub fn refuse(&self, why: &str) -> Result<(), StoreError> {
        self.dir.as_deref().map_or(Ok(()), |dir| format::refuse(dir, why))
    }

    /// The last durable position of every shard that has records, in order. Blocks on the disk.
    pub fn shards(&self) -> Result<Vec<Durable>, StoreError> {
        Ok(self.engine.shards()?)
    }

    /// The records of a shard behind `after` that are still kept, in order: at least the last
    /// [`records_per_shard`](crate::Retention::records_per_shard) of them. Blocks on the disk.
    pub fn records(&self, shard: Shard, after: Seq) -> Result<Vec<Record>, StoreError> {
        Ok(self.engine.records(shard, after)?)
    }

    /// What the store has done since it was opened.
    pub fn stats(&self) -> StoreStats {
        self.pipeline.stats()
    }

    /// Takes no more commits, makes durable what it has taken, tells the sink, and gives the directory free. Blocks
    /// until then, except on the sink's own thread, where it only asks for it. Closing again does nothing.
    pub fn close(&self) -> Result<(), StoreError> {
        Ok(self.pipeline.close()?)
    }

    /// Reads from the engine, on a thread that may block if it does. `what` names it in an error.
    fn read<T: Send + 'static>(
        &self,
        what: String,
        read: impl FnOnce(&dyn Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, JournalError>> {
        let engine = self.engine.clone();
        let read = move || read(&*engine).map_err(|error| read_error(what, error));
        if !self.engine.reads_block() {
            return Box::pin(ready(read()));
        }
        let reads = self.reads.clone();
        Box::pin(async move {
            // Held by the read itself: a caller that gives up does not make room for another one.
            let turn = reads.acquire_owned().await.map_err(|_| JournalError::Closed)?;
            let reading = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                read()
            });
            // It fails only when the tokio runtime is being shut down.
            reading.await.unwrap_or(Err(JournalError::Closed))
        })
    }
}

impl Journal for Store {
    fn append(&self, record: Record) -> Result<(), JournalError> {
        self.pipeline.append(record)
    }

    /// Needs a tokio runtime. A dropped future lets the read end by itself.
    fn load(&self, shard: Shard, actor: &ActorId) -> BoxFuture<'static, Result<StoredActor, JournalError>> {
        let actor = actor.clone();
        let what = actor.to_string();
        self.read(what, move |engine| engine.load(shard, &actor))
    }

    /// Needs a tokio runtime, as [`load`](Journal::load) does.
    fn rows(
        &self,
        shard: Shard,
        range: RowRange,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(Bytes, Bytes)>, JournalError>> {
        self.read(format!("rows of shard {shard}"), move |engine| engine.rows(shard, &range, limit))
    }

    fn last(&self, shard: Shard) -> BoxFuture<'static, Result<Position, JournalError>> {
        Box::pin(ready(Ok(self.pipeline.last(shard))))
    }
}

fn read_error(what: String, error: EngineError) -> JournalError {
    match error {
        EngineError::Closed => JournalError::Closed,
        error => JournalError::Read { what, message: error.to_string() },
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the store was not closed cleanly; the next start repairs that");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("run", &self.run)
            .field("had_data", &self.had_data)
            .finish_non_exhaustive()
    }
}
