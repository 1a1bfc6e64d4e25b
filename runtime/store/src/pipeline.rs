//! From `append` to "durable": the queue, the groups, the sink.
//!
//! One thread commits. It takes *everything* that waits, makes it durable with one sync, says so, and looks again. There
//! is no timer: while a sync runs the queue fills, so groups grow with the load and a lone commit waits for nobody.
//!
//! The order of steps is the safety of it: chain check (I1), engine, positions, sink. What the sink is told is durable
//! *and* visible to `load`. After the first failure the thread commits nothing more and tells the sink nothing more;
//! the failure hook, which normally does not return, is called once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use greenroom_core::Shard;
use greenroom_core::journal::{Durable, DurableSink, JournalError, Position, Record, RecordKind};
use greenroom_core::rows::RowChange;
use parking_lot::{Condvar, Mutex};

use crate::chain::Chains;
use crate::engine::{Engine, EngineError};
use crate::error::{Failure, StoreError};
use crate::options::{FailureHook, StoreOptions};
use crate::stats::{Counters, StoreStats};

/// What a record counts in the queue beside its variable parts; it keeps small ones from adding up to many.
const RECORD_BYTES: usize = 512;

pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    engine: Arc<dyn Engine>,
    committer: Mutex<Option<JoinHandle<Result<(), EngineError>>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    limit: usize,
    /// What is durable. The committer writes it once per group, after the sync.
    durable: Mutex<Chains>,
    counters: Counters,
}

#[derive(Default)]
struct Queue {
    records: Vec<Record>,
    bytes: usize,
    closed: bool,
}

impl Pipeline {
    /// Starts the committer on an engine.
    pub(crate) fn start(
        engine: Arc<dyn Engine>,
        options: &StoreOptions,
        sink: DurableSink,
    ) -> Result<Self, StoreError> {
        let chains = Chains::new(engine.shards()?);
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            filled: Condvar::new(),
            limit: options.queue_bytes,
            durable: Mutex::new(chains.clone()),
            counters: Counters::default(),
        });
        let committer = Committer {
            shared: shared.clone(),
            engine: engine.clone(),
            chains,
            sink,
            on_failure: options.on_failure.clone(),
            group: Vec::new(),
            bytes: 0,
            progress: Vec::new(),
        };
        // Who is told of commits may start tasks: they run in the runtime that has opened the store, if one has.
        let runtime = tokio::runtime::Handle::try_current().ok();
        let committer = thread::Builder::new()
            .name("store-committer".into())
            .spawn(move || {
                let _entered = runtime.as_ref().map(tokio::runtime::Handle::enter);
                committer.run()
            })
            .map_err(StoreError::Thread)?;
        Ok(Self { shared, engine, committer: Mutex::new(Some(committer)) })
    }

    pub(crate) fn append(&self, record: Record) -> Result<(), JournalError> {
        let bytes = size(&record);
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Err(JournalError::Closed);
        }
        if queue.bytes > 0 && queue.bytes + bytes > self.shared.limit {
            self.shared.counters.refused();
            return Err(JournalError::Full { limit: self.shared.limit });
        }
        queue.bytes += bytes;
        queue.records.push(record);
        drop(queue);
        self.shared.filled.notify_one();
        Ok(())
    }

    pub(crate) fn last(&self, shard: Shard) -> Position {
        self.shared.durable.lock().last(shard)
    }

    pub(crate) fn stats(&self) -> StoreStats {
        let queued = self.shared.queue.lock().bytes;
        self.shared.counters.snapshot(queued)
    }

    /// Takes no more records, waits until all that were taken are durable and told, and closes the engine.
    pub(crate) fn close(&self) -> Result<(), EngineError> {
        self.shared.close();
        let Some(committer) = self.committer.lock().take() else { return Ok(()) };
        if committer.thread().id() == thread::current().id() {
            // The sink was the last owner of the store and drops it: the committer goes on alone until it is done.
            return Ok(());
        }
        // A panic has been reported through the failure hook.
        let closed = committer.join().unwrap_or(Ok(()));
        // After a failure the engine has stayed open, for reading.
        closed.and(self.engine.close())
    }
}

impl Shared {
    fn close(&self) {
        self.queue.lock().closed = true;
        self.filled.notify_one();
    }
}

struct Committer {
    shared: Arc<Shared>,
    engine: Arc<dyn Engine>,
    /// The chains including the group at hand; `Shared::durable` follows.
    chains: Chains,
    sink: DurableSink,
    on_failure: FailureHook,
    /// The group at hand; its space goes back to the queue with the next exchange.
    group: Vec<Record>,
    bytes: usize,
    /// How far the group takes each of its shards.
    progress: Vec<Durable>,
}

impl Committer {
    /// Commits until the queue is closed and empty, then closes the engine.
    fn run(mut self) -> Result<(), EngineError> {
        while self.take_group() {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.commit_group()))
                .unwrap_or_else(|panic| Err(Failure::Panic(message(&*panic))));
            if let Err(failure) = outcome {
                self.shared.close();
                (self.on_failure)(&failure);
                return Ok(());
            }
        }
        self.engine.close()
    }

    /// Waits for records and takes all of them. False when the queue is closed and empty.
    fn take_group(&mut self) -> bool {
        self.group.clear();
        let mut queue = self.shared.queue.lock();
        while queue.records.is_empty() {
            if queue.closed {
                return false;
            }
            self.shared.filled.wait(&mut queue);
        }
        std::mem::swap(&mut queue.records, &mut self.group);
        self.bytes = std::mem::take(&mut queue.bytes);
        true
    }

    fn commit_group(&mut self) -> Result<(), Failure> {
        for record in &self.group {
            self.chains.admit(record)?;
        }
        let start = Instant::now();
        self.engine.apply(&self.group)?;
        self.shared.counters.group(self.group.len(), self.bytes, start.elapsed());
        self.publish();
        Ok(self.engine.maintain()?)
    }

    fn publish(&mut self) {
        let chains = &self.chains;
        self.progress.clear();
        self.progress
            .extend(self.group.iter().map(|r| Durable { shard: r.shard, position: chains.last(r.shard) }));
        self.progress.sort_unstable_by_key(|durable| durable.shard);
        self.progress.dedup_by_key(|durable| durable.shard);
        self.shared.durable.lock().advance(&self.progress);
        (self.sink)(&self.progress);
    }
}

/// What a call counts beside its reply, about.
const CALL_BYTES: usize = 64;

/// What a record counts in the queue.
fn size(record: &Record) -> usize {
    RECORD_BYTES
        + match &record.kind {
            RecordKind::Open(_) => 0,
            RecordKind::Commit(commit) => {
                let rows = commit.rows.iter().map(row_size).sum::<usize>();
                let calls = commit.calls().map(|call| CALL_BYTES + call.reply.data.len()).sum::<usize>();
                commit.state.len() + calls + commit.actor.key.len() + rows
            }
            RecordKind::Rows(rows) => rows.iter().map(row_size).sum(),
        }
}

fn row_size(row: &RowChange) -> usize {
    size_of::<RowChange>() + row.key.len() + row.value.as_ref().map_or(0, Bytes::len)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
