//! A shard as its owner holds it: where its turns write, and the gate where their output waits.
//!
//! **Invariant** (I3): nothing that a turn says leaves before [`Gate::wait`] has returned for the newest record whose
//! effect the turn saw. **Invariant** (I1): records are numbered under one lock, at one epoch, without a gap, and none
//! follows once the shard is closed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::engine::{Post, WriteBehind};
use crate::identity::{Epoch, Seq, Shard};
use crate::journal::{Commit, Journal, JournalError, Position, Record, RecordKind};
use crate::map::NodeRun;
use crate::rows::RowChange;

/// The shard has been closed: this node does not own it any more, or is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// Why a commit was not taken.
#[derive(Debug)]
pub enum AppendError {
    /// The shard has been closed.
    Closed,
    /// The journal refused.
    Journal(JournalError),
}

/// A shard between its opening and its closing by one owner at one epoch.
pub struct OwnedShard {
    shard: Shard,
    epoch: Epoch,
    journal: Arc<dyn Journal>,
    writer: Mutex<Writer>,
    gate: Gate,
    post: Post,
    write_behind: WriteBehind,
    /// How many reliable messages this owner has numbered.
    numbers: AtomicU64,
}

/// What the next record needs. `None` after the shard was closed.
type Writer = Option<Position>;

impl OwnedShard {
    /// Opens the shard for `owner` behind the record at `last`: appends the Open record and returns the shard with its
    /// sequence number. The shard may serve once that record is committed.
    pub fn open(
        shard: Shard,
        epoch: Epoch,
        owner: NodeRun,
        last: Position,
        journal: Arc<dyn Journal>,
    ) -> Result<(Arc<Self>, Seq), JournalError> {
        let seq = last.seq.next();
        journal.append(Record {
            shard,
            epoch,
            seq,
            prev_epoch: last.epoch,
            kind: RecordKind::Open(owner),
        })?;
        let writer = Mutex::new(Some(Position { epoch, seq }));
        Ok((
            Arc::new(Self {
                shard,
                epoch,
                journal,
                writer,
                gate: Gate::default(),
                post: Post::default(),
                write_behind: WriteBehind::default(),
                numbers: AtomicU64::new(0),
            }),
            seq,
        ))
    }

    /// The shard.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The epoch at which it is owned.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What it writes to and loads from.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// Where output waits for commits.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Where what turns tell others waits for the gate.
    pub(crate) fn post(&self) -> &Post {
        &self.post
    }

    /// Where what relaxed turns have changed waits to be written.
    pub(crate) fn write_behind(&self) -> &WriteBehind {
        &self.write_behind
    }

    /// The next number of a reliable message. Together with the epoch numbers only grow, also over moves.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Appends one commit and returns its place.
    pub fn append(&self, commit: Commit) -> Result<Seq, AppendError> {
        self.append_kind(RecordKind::Commit(commit))
    }

    /// Appends changes of rows that belong to no turn, and returns their place.
    pub fn append_rows(&self, rows: Vec<RowChange>) -> Result<Seq, AppendError> {
        self.append_kind(RecordKind::Rows(rows))
    }

    fn append_kind(&self, kind: RecordKind) -> Result<Seq, AppendError> {
        let mut writer = self.writer.lock();
        let last = writer.ok_or(AppendError::Closed)?;
        let record = Record {
            shard: self.shard,
            epoch: self.epoch,
            seq: last.seq.next(),
            prev_epoch: last.epoch,
            kind,
        };
        self.journal.append(record).map_err(AppendError::Journal)?;
        *writer = Some(Position { epoch: self.epoch, seq: last.seq.next() });
        Ok(last.seq.next())
    }

    /// The place of the last record; `None` once closed.
    pub fn last(&self) -> Option<Seq> {
        self.writer.lock().map(|position| position.seq)
    }

    /// Writes what relaxed turns have left, then takes no further record and lets no further output pass. Returns the
    /// place of the last record, behind which this run may open the shard again; `None` if it was closed before.
    pub fn close(&self) -> Option<Position> {
        self.write_behind.close(|commit| self.append(commit));
        let last = self.writer.lock().take();
        self.gate.close();
        last
    }
}

impl fmt::Debug for OwnedShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} at epoch {}", self.shard, self.epoch)
    }
}

/// Where output waits until what it depends on is committed.
#[derive(Debug, Default)]
pub struct Gate {
    /// Everything up to here is committed; [`CLOSED`] once the shard is closed.
    committed: AtomicU64,
    waiting: Mutex<Waiters>,
}

/// Those who wait for the same are woken in the order in which they came.
#[derive(Debug, Default)]
struct Waiters {
    heap: BinaryHeap<Waiting>,
    came: u64,
}

/// Above every sequence number, so that "closed" needs no second word beside the fast path's one load.
const CLOSED: u64 = u64::MAX;

#[derive(Debug)]
struct Waiting {
    seq: Seq,
    came: u64,
    wake: oneshot::Sender<()>,
}

impl Waiting {
    /// The greatest leaves the heap first.
    fn rank(&self) -> Reverse<(Seq, u64)> {
        Reverse((self.seq, self.came))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Gate {
    /// Everything up to `seq` is committed. Going back changes nothing.
    pub fn advance(&self, seq: Seq) {
        let mut waiting = self.waiting.lock();
        if self.committed.load(Ordering::Acquire) >= seq.0 {
            return;
        }
        self.committed.store(seq.0, Ordering::Release);
        while waiting.heap.peek().is_some_and(|first| first.seq <= seq) {
            if let Some(first) = waiting.heap.pop() {
                // A caller that stopped waiting has dropped its end.
                let _ = first.wake.send(());
            }
        }
    }

    /// The commit point; `None` once closed.
    pub fn committed(&self) -> Option<Seq> {
        match self.committed.load(Ordering::Acquire) {
            CLOSED => None,
            seq => Some(Seq(seq)),
        }
    }

    /// Waits until everything up to `seq` is committed. Dropping the future is harmless.
    pub async fn wait(&self, seq: Seq) -> Result<(), Closed> {
        let receiver = {
            match self.committed() {
                None => return Err(Closed),
                Some(committed) if committed >= seq => return Ok(()),
                Some(_) => {}
            }
            let mut waiting = self.waiting.lock();
            // Again under the lock: `advance` and `close` take it too.
            match self.committed() {
                None => return Err(Closed),
                Some(committed) if committed >= seq => return Ok(()),
                Some(_) => {}
            }
            let (wake, receiver) = oneshot::channel();
            waiting.came += 1;
            let came = waiting.came;
            waiting.heap.push(Waiting { seq, came, wake });
            receiver
        };
        receiver.await.map_err(|_| Closed)
    }

    /// Lets nothing pass any more; what waits is told so.
    pub fn close(&self) {
        let mut waiting = self.waiting.lock();
        self.committed.store(CLOSED, Ordering::Release);
        waiting.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::FuturesUnordered;
    use futures_util::{FutureExt, StreamExt, TryStreamExt};

    use super::*;

    #[tokio::test]
    async fn output_passes_when_its_commit_is_in_and_not_before() {
        let gate = Gate::default();
        let mut first = Box::pin(gate.wait(Seq(1)));
        let mut third = Box::pin(gate.wait(Seq(3)));
        assert!(futures_util::poll!(&mut third).is_pending());
        assert!(futures_util::poll!(&mut first).is_pending());
        gate.advance(Seq(2));
        assert_eq!(first.await, Ok(()));
        assert!(futures_util::poll!(&mut third).is_pending());
        gate.advance(Seq(3));
        assert_eq!(third.await, Ok(()));
    }

    #[tokio::test]
    async fn those_who_wait_for_the_same_pass_in_the_order_in_which_they_came() {
        let gate = Gate::default();
        let wait = |number| gate.wait(Seq(1)).map(move |passed| passed.map(|()| number));
        let mut waiting: FuturesUnordered<_> = (0..100).map(wait).collect();
        assert!(futures_util::poll!(waiting.next()).is_pending());
        gate.advance(Seq(1));
        assert_eq!(waiting.try_collect().await, Ok(Vec::from_iter(0..100)));
    }

    #[tokio::test]
    async fn a_closed_gate_lets_nothing_pass() {
        let gate = Gate::default();
        gate.advance(Seq(5));
        let mut waiting = Box::pin(gate.wait(Seq(6)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        gate.close();
        assert_eq!(waiting.await, Err(Closed));
        assert_eq!(gate.wait(Seq(1)).await, Err(Closed));
        gate.advance(Seq(9));
        assert_eq!(gate.wait(Seq(9)).await, Err(Closed));
    }
}
