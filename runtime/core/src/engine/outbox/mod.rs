//! Sends reliable messages until they are applied.
//!
//! A turn that sends reliably writes the message as a row of its own commit. From there on it is the outbox's: it sends
//! the messages of a sender to a target one after the other, in their order, each as often as it takes, and removes the
//! row when the target says that it has applied the message and that this is durable there (see `delivery`). Pairs do not
//! wait for each other.
//!
//! What the target refuses (an error of the application, no such method, a panic) is tried a bounded number of times and
//! then becomes a dead letter. **Invariant**: the record that removes the message is the one that writes the dead
//! letter, and the next message of the pair goes on when that record is durable. For the target takes a higher number to
//! mean that it has seen all lower ones.
//!
//! - `message`: what is stored; `queues`: what is known to wait; `deliver`: one message, until it is applied;
//! - `later`: messages that are not due yet; `letters`: dead letters.

mod deliver;
mod later;
mod letters;
mod message;
mod queues;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::Core;
use crate::env::SharedEnv;
use crate::identity::{Seq, Shard};
use crate::journal::JournalError;
use crate::rows::{RowChange, RowFollower, RowRange, Space, actor_prefix};
use crate::shard::{AppendError, OwnedShard};
pub use letters::DeadLetterError;
pub(crate) use message::{IN_ORDER, Letter, LetterId, Message, Place};
use queues::{Next, PER_PAIR, Pair, PairId, Waiting};

/// How many messages of a node are being delivered at the same time.
const AT_ONCE: usize = 256;
/// How many rows are read at once.
const PAGE: usize = 256;
/// How many rows a record removes at most.
const REMOVED_AT_ONCE: usize = 4096;
/// How long to wait before the journal is asked again.
const JOURNAL_PAUSE: Duration = Duration::from_millis(100);

/// The outboxes of the shards that a node serves.
pub(crate) struct Outbox {
    env: SharedEnv,
    me: Weak<Self>,
    core: OnceLock<Weak<Core>>,
    shards: Mutex<BTreeMap<Shard, Arc<ShardBox>>>,
    permits: Semaphore,
}

/// The outbox of one shard, for as long as it is served here.
struct ShardBox {
    shard: Arc<OwnedShard>,
    state: Mutex<State>,
    /// Something is due earlier than what was known.
    earlier: Notify,
}

#[derive(Default)]
struct State {
    pairs: BTreeMap<PairId, Pair>,
    /// The rows that were there when the shard was opened are still being read: nothing is sent.
    scanning: bool,
    /// Rows that are done with, to be removed.
    done: Vec<RowChange>,
    /// A task removes them.
    removing: bool,
    /// Keys of delayed messages by the time when they are due, with their records.
    delayed: BTreeMap<(u64, Bytes), Seq>,
    /// A task waits for the first of them.
    timing: bool,
    /// The keys of the dead letters, oldest first.
    letters: BTreeSet<Bytes>,
}

impl Outbox {
    pub(super) fn new(env: SharedEnv) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            env,
            me: me.clone(),
            core: OnceLock::new(),
            shards: Mutex::default(),
            permits: Semaphore::new(AT_ONCE),
        })
    }

    /// Tells the engine whose outbox this is. To be called once, before the first shard is served.
    pub(super) fn attach(&self, core: &Arc<Core>) {
        let _ = self.core.set(Arc::downgrade(core));
    }

    fn core(&self) -> Option<Arc<Core>> {
        self.core.get()?.upgrade()
    }

    fn spawn<F>(&self, task: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(me) = self.me.upgrade() {
            self.env.spawn(Box::pin(task(me)));
        }
    }

    /// A row of the outbox has become known.
    fn known(&self, of: &Arc<ShardBox>, seq: Seq, key: &Bytes, value: &Bytes, again: bool) {
        match (Place::read(key), Message::read(value)) {
            (Some((from, Place::Numbered { lane, .. })), Some(message)) => {
                let id = PairId { from, lane, target: message.target.clone() };
                self.add(of, &mut of.state.lock(), id, key.clone(), Waiting { seq, message, again });
            }
            (Some((_, Place::Delayed { due, .. })), Some(_)) => self.add_delayed(of, due, key.clone(), seq),
            _ => tracing::error!(shard = %of.shard.shard(), ?key, "a message in the outbox cannot be read"),
        }
    }

    fn add(&self, of: &Arc<ShardBox>, state: &mut State, id: PairId, key: Bytes, waiting: Waiting) {
        let scanning = state.scanning;
        let pair = state.pairs.entry(id.clone()).or_default();
        pair.add(key, waiting);
        if !scanning && !pair.busy {
            pair.busy = true;
            let of = of.clone();
            self.spawn(|me| me.send(of, id));
        }
    }

    /// Reads what was there when the shard was opened, then sends.
    async fn scan(self: Arc<Self>, of: Arc<ShardBox>) {
        let mut range = RowRange::all(Space::OUTBOX);
        while let Some(rows) = self.read(&of.shard, range.clone(), PAGE).await {
            rows.iter().for_each(|(key, value)| self.known(&of, Seq(0), key, value, true));
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => range = range.after(last),
                _ => break,
            }
        }
        self.scan_letters(&of).await;
        let mut state = of.state.lock();
        state.scanning = false;
        for (id, pair) in &mut state.pairs {
            if !std::mem::replace(&mut pair.busy, true) {
                let (of, id) = (of.clone(), id.clone());
                self.spawn(|me| me.send(of, id));
            }
        }
    }

    /// Sends the messages of a pair, one after the other, until none is left or the shard is closed.
    async fn send(self: Arc<Self>, of: Arc<ShardBox>, id: PairId) {
        let mut position = Bytes::new();
        loop {
            match of.next(&id) {
                Next::Nothing => return,
                Next::Read(newest) => {
                    if !self.read_more(&of, &id, &position, newest).await {
                        return;
                    }
                }
                Next::Send(key, waiting) => {
                    if of.shard.gate().wait(waiting.seq).await.is_err()
                        || self.deliver(&of, &id, &key, waiting).await.is_none()
                    {
                        return;
                    }
                    position = key;
                }
            }
        }
    }

    /// Reads on behind `position`; false if the shard is closed.
    async fn read_more(&self, of: &ShardBox, id: &PairId, position: &[u8], newest: Seq) -> bool {
        of.state.lock().pairs.entry(id.clone()).or_default().reading();
        // Everything that became known before is in the journal then, and what becomes known from now on is added.
        if of.shard.gate().wait(newest).await.is_err() {
            return false;
        }
        let mut prefix = actor_prefix(&id.from);
        prefix.extend_from_slice(&[id.lane]);
        let mut range = RowRange::prefix(Space::OUTBOX, prefix).after(position);
        let mut found = 0;
        loop {
            let Some(rows) = self.read(&of.shard, range.clone(), PAGE).await else { return false };
            let mut state = of.state.lock();
            let pair = state.pairs.entry(id.clone()).or_default();
            for (key, value) in &rows {
                let Some(message) = Message::read(value).filter(|message| message.target == id.target) else {
                    continue;
                };
                pair.add(key.clone(), Waiting { seq: Seq(0), message, again: true });
                found += 1;
            }
            match rows.last() {
                Some(_) if found >= PER_PAIR => {
                    pair.has_more();
                    return true;
                }
                Some((last, _)) if rows.len() == PAGE => range = range.after(last),
                _ => return true,
            }
        }
    }

    /// Rows of the journal; `None` if the shard is closed.
    async fn read(&self, shard: &OwnedShard, range: RowRange, limit: usize) -> Option<Vec<(Bytes, Bytes)>> {
        loop {
            shard.gate().committed()?;
            match shard.journal().rows(shard.shard(), range.clone(), limit).await {
                Ok(rows) => return Some(rows),
                Err(JournalError::Closed) => return None,
                Err(error) => tracing::error!(shard = %shard.shard(), %error, "cannot read the outbox"),
            }
            tokio::time::sleep(JOURNAL_PAUSE).await;
        }
    }

    /// The message is applied: its row goes, with those of others.
    fn applied(&self, of: &Arc<ShardBox>, id: &PairId, key: Bytes) {
        let mut state = of.state.lock();
        if let Some(pair) = state.pairs.get_mut(id) {
            pair.remove(&key);
        }
        state.done.push(RowChange::remove(Space::OUTBOX, key));
        if !std::mem::replace(&mut state.removing, true) {
            let of = of.clone();
            self.spawn(|_| of.remove_done());
        }
    }
}

impl ShardBox {
    fn next(&self, id: &PairId) -> Next {
        let mut state = self.state.lock();
        let next = state.pairs.get(id).map_or(Next::Nothing, Pair::next);
        if next == Next::Nothing {
            state.pairs.remove(id);
        }
        next
    }

    /// Removes the rows that are done with. While a record is written the next one fills.
    async fn remove_done(self: Arc<Self>) {
        loop {
            let rows = {
                let mut state = self.state.lock();
                let count = state.done.len().min(REMOVED_AT_ONCE);
                state.removing = count > 0;
                state.done.drain(..count).collect::<Vec<_>>()
            };
            if rows.is_empty() || append(&self.shard, rows).await.is_none() {
                return;
            }
        }
    }
}

/// Appends the rows and waits until they are durable; `None` if the shard is closed.
async fn append(shard: &OwnedShard, rows: Vec<RowChange>) -> Option<()> {
    loop {
        match shard.append_rows(rows.clone()) {
            Ok(seq) => return shard.gate().wait(seq).await.ok(),
            Err(AppendError::Closed | AppendError::Journal(JournalError::Closed)) => return None,
            Err(AppendError::Journal(_)) => tokio::time::sleep(JOURNAL_PAUSE).await,
        }
    }
}

impl RowFollower for Outbox {
    fn opened(&self, shard: &Arc<OwnedShard>) {
        let state = Mutex::new(State { scanning: true, ..State::default() });
        let of = Arc::new(ShardBox { shard: shard.clone(), state, earlier: Notify::new() });
        self.shards.lock().insert(shard.shard(), of.clone());
        self.spawn(|me| me.scan(of));
    }

    fn committed(&self, shard: &Arc<OwnedShard>, seq: Seq, row: &RowChange) {
        let Some(of) = self.of(shard) else { return };
        if let Some(value) = &row.value {
            self.known(&of, seq, &row.key, value, false);
        }
    }

    fn closed(&self, shard: &Arc<OwnedShard>) {
        if self.of(shard).is_some() {
            self.shards.lock().remove(&shard.shard());
        }
    }
}

impl Outbox {
    /// The outbox of this very ownership.
    fn of(&self, shard: &Arc<OwnedShard>) -> Option<Arc<ShardBox>> {
        self.shards.lock().get(&shard.shard()).filter(|of| Arc::ptr_eq(&of.shard, shard)).cloned()
    }
}
