//! Reminders: calls that a shard makes to its own actors at times that are kept with their state.
//!
//! - `stored`: the rows that a reminder is made of.
//! - `agenda`: which reminders of a shard are due next, with few of them in memory.
//! - `tick`: one reminder that is due: its call, and what becomes of it when that fails.
//! - this file: the agendas of all shards that are served here, and the one task that works through them.
//!
//! **Invariant**: a reminder's two rows only change together, in a commit of its own actor that has the actor for itself.
//! So a tick and "the tick was done" are one record (exactly once, whatever crashes), and whoever holds the actor knows
//! that no one else changes its reminders.
//!
//! At most [`TICKS_AT_ONCE`] ticks of a node run at the same time, and the shards that have some due take turns: however
//! many are due in one second, calls find their place beside them.

mod agenda;
mod changes;
mod stored;
mod tick;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::Core;
use crate::env::SharedEnv;
use crate::identity::{Seq, Shard};
use crate::rows::{RowChange, RowFollower, RowRange};
use crate::shard::OwnedShard;
use agenda::{Agenda, Known, PAGE, Taken};
pub(in crate::engine) use changes::changed;
pub(crate) use stored::{Stored, name_key, split_name_key};

/// How many ticks of a node run at the same time.
const TICKS_AT_ONCE: usize = 64;
/// How many of these may be of one shard: one whose disk or copies are slow holds up no other (I5).
const TICKS_OF_A_SHARD: usize = 16;
/// How long the task sleeps at most: the calendar may be set anew meanwhile.
const CALENDAR_CHECK: Duration = Duration::from_secs(5);
/// How long to wait before a page is read again after an error.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// The reminders of a node.
pub(crate) struct Reminders {
    env: SharedEnv,
    engine: OnceLock<Weak<Core>>,
    stopped: AtomicBool,
    state: Mutex<State>,
    wake: Notify,
    counts: Counts,
}

#[derive(Default)]
struct State {
    shards: BTreeMap<Shard, Served>,
    /// When shards have something to do next.
    calendar: BTreeSet<(u64, Shard)>,
    /// Shards that have something to do now, in turn.
    ready: VecDeque<Shard>,
}

struct Served {
    shard: Arc<OwnedShard>,
    agenda: Agenda,
    /// Where it stands in the calendar; `None`: nowhere, or among those that are ready.
    at: Option<u64>,
    ready: bool,
    /// How many of its ticks run.
    running: usize,
}

/// What the task does next.
enum Job {
    Read(Arc<OwnedShard>, RowRange),
    Tick(Arc<OwnedShard>, Taken),
    /// Nothing until this time, if there is one.
    Sleep(Option<u64>),
}

#[derive(Default)]
struct Counts {
    ticks: AtomicU64,
    failures: AtomicU64,
    given_up: AtomicU64,
    skipped: AtomicU64,
}

/// What a node's reminders have done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReminderStats {
    /// Ticks that are done.
    pub ticks: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Ticks that failed so often that they were given up; each is a dead letter.
    pub given_up: u64,
    /// Reminders that went on without a tick, because it was missed and its schedule says to skip it.
    pub skipped: u64,
    /// How many reminders are in memory: those due next.
    pub in_memory: u64,
}

impl Reminders {
    pub(super) fn new(env: SharedEnv) -> Arc<Self> {
        Arc::new(Self {
            env,
            engine: OnceLock::new(),
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
            wake: Notify::new(),
            counts: Counts::default(),
        })
    }

    /// Begins to work for this engine.
    pub(super) fn start(self: &Arc<Self>, engine: &Arc<Core>) {
        // Called once, when the engine is made.
        let _ = self.engine.set(Arc::downgrade(engine));
        self.env.spawn(Box::pin(work(Arc::downgrade(self))));
    }

    /// The engine has come to its end.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    fn engine(&self) -> Option<Arc<Core>> {
        self.engine.get()?.upgrade().filter(|_| !self.stopped.load(Ordering::SeqCst))
    }

    pub(super) fn stats(&self) -> ReminderStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReminderStats {
            ticks: count(&self.counts.ticks),
            failures: count(&self.counts.failures),
            given_up: count(&self.counts.given_up),
            skipped: count(&self.counts.skipped),
            in_memory: self.state.lock().shards.values().map(|served| served.agenda.len() as u64).sum(),
        }
    }

    /// Changes the agenda of a shard, unless it is not served here any more.
    fn with_agenda<T>(&self, shard: &Arc<OwnedShard>, change: impl FnOnce(&mut Agenda) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let served = state.shards.get_mut(&shard.shard())?;
        if !Arc::ptr_eq(&served.shard, shard) {
            return None;
        }
        let result = change(&mut served.agenda);
        if state.plan(shard.shard()) {
            self.wake.notify_one();
        }
        Some(result)
    }

    /// A tick of this shard has ended, well or not.
    fn ended(&self, shard: &Arc<OwnedShard>) {
        let mut state = self.state.lock();
        let served = state.shards.get_mut(&shard.shard());
        if let Some(served) = served.filter(|served| Arc::ptr_eq(&served.shard, shard)) {
            served.running -= 1;
            if state.plan(shard.shard()) {
                self.wake.notify_one();
            }
        }
    }

    fn is_current(&self, shard: &Arc<OwnedShard>, taken: &Taken) -> bool {
        let state = self.state.lock();
        let served = state.shards.get(&shard.shard()).filter(|served| Arc::ptr_eq(&served.shard, shard));
        served.is_some_and(|served| served.agenda.is_current(&taken.key, taken.ticket))
    }

    fn find(&self, shard: &Arc<OwnedShard>, name_key: &[u8]) -> Known {
        let state = self.state.lock();
        let served = state.shards.get(&shard.shard()).filter(|served| Arc::ptr_eq(&served.shard, shard));
        served.map_or(Known::OnDisk, |served| served.agenda.find(name_key))
    }

    async fn read(&self, shard: &Arc<OwnedShard>, range: RowRange) {
        match shard.journal().rows(shard.shard(), range, PAGE).await {
            Ok(rows) => {
                let keys: Vec<Bytes> = rows.into_iter().map(|(key, _)| key).collect();
                self.with_agenda(shard, |agenda| agenda.end_page(keys));
            }
            Err(error) => {
                tracing::warn!(?shard, %error, "cannot read the reminders that are due next; will try again");
                tokio::time::sleep(READ_AGAIN).await;
                self.with_agenda(shard, Agenda::fail_page);
            }
        }
    }
}

impl State {
    /// Puts a shard where its next event belongs. True if that is now at the beginning of the calendar, or nowhere near.
    fn plan(&mut self, shard: Shard) -> bool {
        let Some(served) = self.shards.get_mut(&shard) else { return false };
        if served.ready {
            return false;
        }
        let may_tick = served.running < TICKS_OF_A_SHARD;
        let next = served.agenda.next_event().filter(|_| may_tick || served.agenda.wants_page());
        if next == served.at {
            return false;
        }
        if let Some(before) = served.at {
            self.calendar.remove(&(before, shard));
        }
        served.at = next;
        let Some(next) = next else { return false };
        self.calendar.insert((next, shard));
        self.calendar.first() == Some(&(next, shard))
    }

    fn next_job(&mut self, now: u64) -> Job {
        while let Some(&(at, shard)) = self.calendar.first().filter(|(at, _)| *at <= now) {
            self.calendar.remove(&(at, shard));
            if let Some(served) = self.shards.get_mut(&shard) {
                (served.at, served.ready) = (None, true);
                self.ready.push_back(shard);
            }
        }
        while let Some(shard) = self.ready.pop_front() {
            let Some(served) = self.shards.get_mut(&shard).filter(|served| served.ready) else { continue };
            let committed = served.shard.gate().committed().unwrap_or_default();
            if let Some(range) = served.agenda.begin_page(committed) {
                let job = Job::Read(served.shard.clone(), range);
                self.ready.push_back(shard);
                return job;
            }
            let may_tick = served.running < TICKS_OF_A_SHARD;
            if may_tick && let Some(taken) = served.agenda.take(now) {
                served.running += 1;
                let job = Job::Tick(served.shard.clone(), taken);
                self.ready.push_back(shard);
                return job;
            }
            served.ready = false;
            self.plan(shard);
        }
        Job::Sleep(self.calendar.first().map(|(at, _)| *at))
    }
}

impl RowFollower for Reminders {
    fn opened(&self, shard: &Arc<OwnedShard>) {
        let mut state = self.state.lock();
        if let Some(Served { at: Some(at), .. }) = state.shards.remove(&shard.shard()) {
            state.calendar.remove(&(at, shard.shard()));
        }
        let served =
            Served { shard: shard.clone(), agenda: Agenda::new(), at: None, ready: false, running: 0 };
        state.shards.insert(shard.shard(), served);
        state.plan(shard.shard());
        self.wake.notify_one();
    }

    fn committed(&self, shard: &Arc<OwnedShard>, seq: Seq, row: &RowChange) {
        let committed = shard.gate().committed().unwrap_or_default();
        self.with_agenda(shard, |agenda| {
            agenda.changed(seq, row.key.clone(), row.value.is_some(), committed);
        });
    }

    fn closed(&self, shard: &Arc<OwnedShard>) {
        let mut state = self.state.lock();
        let id = shard.shard();
        if state.shards.get(&id).is_some_and(|served| Arc::ptr_eq(&served.shard, shard))
            && let Some(Served { at: Some(at), .. }) = state.shards.remove(&id)
        {
            state.calendar.remove(&(at, id));
        }
    }
}

/// Works through the agendas until the node's engine is gone.
async fn work(reminders: Weak<Reminders>) {
    let permits = Arc::new(Semaphore::new(TICKS_AT_ONCE));
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let Some(this) = reminders.upgrade().filter(|this| this.engine().is_some()) else { return };
        let now = this.env.unix_ms();
        let job = this.state.lock().next_job(now);
        match job {
            Job::Read(shard, range) => {
                let task = this.clone();
                this.env.spawn(Box::pin(async move {
                    task.read(&shard, range).await;
                    drop(permit);
                }));
            }
            Job::Tick(shard, taken) => {
                let task = this.clone();
                this.env.spawn(Box::pin(async move {
                    task.tick(&shard, taken).await;
                    task.ended(&shard);
                    drop(permit);
                }));
            }
            Job::Sleep(until) => {
                drop(permit);
                let left = until.map(|until| Duration::from_millis(until.saturating_sub(now).max(1)));
                let slept = tokio::time::sleep(left.unwrap_or(CALENDAR_CHECK).min(CALENDAR_CHECK));
                tokio::select! {
                    () = slept, if left.is_some() => {}
                    () = this.wake.notified() => {}
                }
            }
        }
    }
}
