//! Where the changes of relaxed turns wait to be written.
//!
//! A relaxed turn appends nothing: what it changed waits here, together with what earlier relaxed turns of the actor have
//! changed, and goes to the shard as **one** record: the newest state, every call, every row in its order. That happens
//! - at the latest `within` after the first of them, by the actor's own timer;
//! - with the next durable turn of the actor, in that one's record;
//! - before the actor leaves memory, before the node stops, before the shard is given up, and when it has become much.
//!
//! **Claim**: what a crash leaves is the actor's state after one of its turns, with the calls and rows of all turns up to
//! that one and of none behind it; and no durable turn is behind it.
//! 1. Whoever appends a record of the actor holds its [`Slot`], and takes all that waits there along. So each record
//!    has the state after some turn, and records follow each other as the turns did.
//! 2. A record of a shard is there only with all before it.
//!
//! **Claim** (I7): a shard that is given up in order has everything. [`WriteBehind::close`] comes before its last record is
//! decided on, and writes what waits; a turn that comes later finds its slot closed, and fails. Except if the journal is
//! full at that moment: nobody can wait for it then, so what waits is lost, and a warning says so. A drain has waited before.
//!
//! What a relaxed turn says (its reply, `tell`, calls) leaves as a reading turn's: when the *records* that it saw are
//! committed. What it does by rows (reliable messages, reminders, items) is in the record.

use std::collections::{BTreeMap, HashSet};
use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Core;
use super::activation::{Loaded, Stored};
use crate::actor::{Actor, Durability};
use crate::identity::{ActorId, Seq};
use crate::journal::{CallRecord, Commit, JournalError};
use crate::rows::{RowChange, Space};
use crate::shard::{AppendError, Closed, OwnedShard};

/// Rows that may wait. Who works on others must know of them before the next turn of the actor, so a relaxed turn that
/// changes them is written at once; its reply does not wait for that either.
const MAY_WAIT: [Space; 3] = [Space::ITEM, Space::OUTBOX, Space::INDEX];
/// So much waits for one actor at most, in bytes beside its state; then it is written at once.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// How long to wait before a full journal is asked again.
const JOURNAL_PAUSE: Duration = Duration::from_millis(100);

/// What one actor has to write. Made when it is needed: most actors have none.
pub(crate) struct Slot {
    actor: ActorId,
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    unwritten: Option<Unwritten>,
    /// The last record that was written from here.
    written: Seq,
    /// A task waits for the time to write.
    timing: bool,
    closed: bool,
    /// The state as it was loaded, if its type has indexes and volatile methods have changed it before its first commit.
    loaded: Option<Bytes>,
}

/// The changes of some relaxed turns, as one commit.
#[derive(Clone)]
struct Unwritten {
    due: Instant,
    state: Bytes,
    earlier: Vec<CallRecord>,
    call: CallRecord,
    rows: Vec<RowChange>,
    bytes: usize,
}

impl Unwritten {
    /// One commit of it all, and of what a durable turn adds.
    fn into_commit(self, actor: ActorId, last: Option<Commit>) -> Commit {
        let Self { state, mut earlier, call, mut rows, .. } = self;
        let (state, call) = match last {
            None => (state, call),
            Some(last) => {
                earlier.push(call);
                rows.extend(last.rows);
                (last.state, last.call)
            }
        };
        Commit { actor, state, earlier, call, rows: newest_of_each(rows) }
    }
}

/// Of several changes of one row the last one counts; the order of those that remain stays.
fn newest_of_each(mut rows: Vec<RowChange>) -> Vec<RowChange> {
    let mut seen = HashSet::new();
    rows.reverse();
    rows.retain(|row| seen.insert((row.space, row.key.clone())));
    rows.reverse();
    rows
}

/// The actors of a shard for which something waits.
#[derive(Default)]
pub(crate) struct WriteBehind(Mutex<Slots>);

#[derive(Default)]
struct Slots {
    closed: bool,
    /// In a fixed order, for the simulation's sake.
    slots: BTreeMap<ActorId, Arc<Slot>>,
}

impl WriteBehind {
    fn add(&self, slot: &Arc<Slot>) -> Result<(), AppendError> {
        let mut waiting = self.0.lock();
        if waiting.closed {
            return Err(AppendError::Closed);
        }
        waiting.slots.insert(slot.actor.clone(), slot.clone());
        Ok(())
    }

    fn remove(&self, actor: &ActorId) {
        self.0.lock().slots.remove(actor);
    }

    fn all(&self) -> Vec<Arc<Slot>> {
        self.0.lock().slots.values().cloned().collect()
    }

    /// Writes what waits, and lets nothing more come. To be called before the shard takes its last record.
    pub(crate) fn close(&self, append: impl Fn(Commit) -> Result<Seq, AppendError>) {
        let slots = {
            let mut waiting = self.0.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.slots)
        };
        for (actor, slot) in slots {
            let mut state = slot.state.lock();
            state.closed = true;
            if let Some(unwritten) = state.unwritten.take()
                && let Err(error) = append(unwritten.into_commit(actor.clone(), None))
            {
                tracing::warn!(%actor, ?error, "the last relaxed turns could not be written before the shard closed");
            }
        }
    }
}

impl Slot {
    /// The slot of an actor, made if it has none.
    fn of(stored: &mut Stored, actor: &ActorId) -> Arc<Self> {
        let make = || Arc::new(Self { actor: actor.clone(), state: Mutex::default() });
        stored.slot.get_or_insert_with(make).clone()
    }

    /// Writes what waits. Returns the last record that was ever written from here: what the actor shows is in the journal
    /// when that one is durable.
    pub(crate) fn write(&self, engine: &Core, shard: &Arc<OwnedShard>) -> Result<Seq, AppendError> {
        self.write_locked(&mut self.state.lock(), engine, shard, None)
    }

    /// Appends what waits and what a durable turn adds, as one record.
    fn write_locked(
        &self,
        state: &mut SlotState,
        engine: &Core,
        shard: &Arc<OwnedShard>,
        last: Option<Commit>,
    ) -> Result<Seq, AppendError> {
        let commit = match (&state.unwritten, last) {
            (None, None) => return Ok(state.written),
            (None, Some(last)) => last,
            // A clone, because a record that is not taken must still wait.
            (Some(unwritten), last) => unwritten.clone().into_commit(self.actor.clone(), last),
        };
        state.written = append(engine, shard, commit)?;
        if state.unwritten.take().is_some() {
            shard.write_behind().remove(&self.actor);
        }
        Ok(state.written)
    }

    /// Adds what a relaxed turn changed to what waits.
    fn keep(
        self: &Arc<Self>,
        engine: &Arc<Core>,
        shard: &Arc<OwnedShard>,
        within: Duration,
        commit: Commit,
    ) -> Result<(), AppendError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(AppendError::Closed);
        }
        let bytes = size_of_waiting(&commit);
        if state.unwritten.as_ref().is_some_and(|unwritten| unwritten.bytes + bytes > MAX_WAITING_BYTES) {
            self.write_locked(&mut state, engine, shard, None)?;
        }
        if state.unwritten.is_none() {
            shard.write_behind().add(self)?;
        }
        for row in commit.rows.iter().filter(|row| row.space == Space::ITEM) {
            engine.overlay.unwritten(shard, row);
        }
        match &mut state.unwritten {
            Some(unwritten) => {
                unwritten.state = commit.state;
                unwritten.earlier.push(std::mem::replace(&mut unwritten.call, commit.call));
                unwritten.rows.extend(commit.rows);
                unwritten.bytes += bytes;
            }
            None => {
                let Commit { state: form, earlier, call, rows, .. } = commit;
                let due = engine.env.now() + within;
                state.unwritten = Some(Unwritten { due, state: form, earlier, call, rows, bytes });
            }
        }
        if !std::mem::replace(&mut state.timing, true) {
            let (core, shard, slot) = (Arc::downgrade(engine), shard.clone(), self.clone());
            engine.env.spawn(Box::pin(async move {
                while let Some(due) = slot.due() {
                    tokio::time::sleep_until(due).await;
                    // Without the engine nothing is written: the node is gone.
                    let Some(engine) = core.upgrade() else { return };
                    slot.write_if_due(&engine, &shard);
                }
            }));
        }
        Ok(())
    }

    /// When to write; `None`, and the task ends, if nothing waits.
    fn due(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        let due = state.unwritten.as_ref().map(|unwritten| unwritten.due);
        state.timing = due.is_some();
        due
    }

    fn write_if_due(&self, engine: &Core, shard: &Arc<OwnedShard>) {
        let mut state = self.state.lock();
        let now = engine.env.now();
        if state.unwritten.as_ref().is_none_or(|unwritten| unwritten.due > now) {
            return;
        }
        match (self.write_locked(&mut state, engine, shard, None), &mut state.unwritten) {
            (Err(AppendError::Journal(JournalError::Full { .. })), Some(unwritten)) => {
                unwritten.due = now + JOURNAL_PAUSE;
            }
            // The shard has closed, or the node is stopping.
            (Err(_), unwritten) => *unwritten = None,
            (Ok(_), _) => {}
        }
    }
}

fn size_of_waiting(commit: &Commit) -> usize {
    let rows = commit.rows.iter().map(|row| row.key.len() + row.value.as_ref().map_or(0, Bytes::len));
    let row_bytes = rows.sum::<usize>() + commit.rows.len() * size_of::<RowChange>();
    row_bytes + commit.call.reply.data.len() + size_of::<CallRecord>()
}

fn append(engine: &Core, shard: &Arc<OwnedShard>, commit: Commit) -> Result<Seq, AppendError> {
    let told = engine.followed(&commit.rows);
    let seq = shard.append(commit)?;
    engine.tell_followers(shard, seq, &told);
    Ok(seq)
}

/// Takes what a turn has changed, and returns the newest record that its output must wait for. To be called while the
/// turn still has its actor; `saw` is the newest record that the state shows.
pub(super) fn commit(
    engine: &Arc<Core>,
    shard: &Arc<OwnedShard>,
    saw: Seq,
    stored: &mut Stored,
    promise: Durability,
    commit: Commit,
) -> Result<Seq, AppendError> {
    match (promise, &stored.slot) {
        (Durability::Relaxed { within }, _) => {
            let slot = Slot::of(stored, &commit.actor);
            match commit.rows.iter().all(|row| MAY_WAIT.contains(&row.space)) {
                true => slot.keep(engine, shard, within, commit)?,
                false => drop(slot.write_locked(&mut slot.state.lock(), engine, shard, Some(commit))?),
            }
            Ok(saw)
        }
        (_, None) => append(engine, shard, commit),
        (_, Some(slot)) => slot.write_locked(&mut slot.state.lock(), engine, shard, Some(commit)),
    }
}

/// What a volatile turn of a stored type has changed is good from now on: a failed turn goes back to it, and the next
/// commit carries it.
pub(super) fn remember<A: Actor>(actor: &ActorId, stored: &mut Stored, form: Vec<u8>) {
    if form == stored.saved {
        return;
    }
    let last = std::mem::replace(&mut stored.saved, form.into());
    if !A::INDEXES.is_empty() && stored.index.is_none() {
        Slot::of(stored, actor).state.lock().loaded.get_or_insert(last);
    }
}

/// The state as it was loaded: what the first commit since then removes from the indexes is what this has put there.
pub(super) fn last_written(stored: &Stored) -> Bytes {
    let form = stored.slot.as_ref().and_then(|slot| slot.state.lock().loaded.clone());
    form.unwrap_or_else(|| stored.saved.clone())
}

impl<A: Actor> Loaded<A> {
    /// Writes what waits, and returns the record that must be durable before the state may leave memory.
    pub(super) fn write_behind(&self, engine: &Core, shard: &Arc<OwnedShard>) -> Result<Seq, AppendError> {
        let written = self.slot().map_or(Ok(Seq(0)), |slot| slot.write(engine, shard))?;
        Ok(written.max(self.saw))
    }
}

impl Core {
    /// Writes what the relaxed turns of this slot have left, however long the disk takes, and waits until that and
    /// everything up to `saw` is durable.
    pub(super) async fn settle(
        &self,
        shard: &Arc<OwnedShard>,
        slot: Option<&Slot>,
        saw: Seq,
    ) -> Result<(), Closed> {
        let written = match slot {
            Some(slot) => self.write_patiently(shard, slot).await?,
            None => Seq(0),
        };
        shard.gate().wait(written.max(saw)).await
    }

    /// Writes what relaxed turns have left, and waits until every record is durable, also those that nobody has waited for;
    /// for a node that stops.
    pub(super) async fn settle_all(&self) {
        let shards: Vec<_> = self.owned.iter().filter_map(arc_swap::ArcSwapOption::load_full).collect();
        for shard in &shards {
            for slot in shard.write_behind().all() {
                // An error: the shard is given up, and what waits is written there.
                let _ = self.write_patiently(shard, &slot).await;
            }
        }
        for shard in &shards {
            if let Some(last) = shard.last() {
                // An error: the shard is given up, behind its last record.
                let _ = shard.gate().wait(last).await;
            }
        }
    }

    async fn write_patiently(&self, shard: &Arc<OwnedShard>, slot: &Slot) -> Result<Seq, Closed> {
        loop {
            match slot.write(self, shard) {
                Ok(written) => return Ok(written),
                Err(AppendError::Journal(JournalError::Full { .. })) => {
                    tokio::time::sleep(JOURNAL_PAUSE).await;
                }
                Err(_) => return Err(Closed),
            }
        }
    }
}
