//! What came into memory and left it lately, for those who follow the placements of this node.
//!
//! # Why nothing is missed
//! Who follows takes a stamp S first ([`Engine::stamp`]), then looks at the directory, then asks for the changes after S,
//! again and again from where the last answer ended. **Claim**: in the end they know of each actor whether it is in
//! memory here.
//!
//! 1. A change of the directory is recorded after it was made, under the log's lock. The record says what stands in
//!    the directory *then*, not what the change was. So of an actor's records the newest is right: the last change was
//!    recorded after it was made, and any record that follows looked even later.
//!    (Two threads may record in another order than they changed; if each wrote down its own change, the newest record
//!    could be wrong for good. The price is that an actor that came and went at once may be recorded as gone twice.)
//! 2. Stamps are given under the same lock and only grow. A change that the look did not see was made after the look
//!    began, so it was recorded after S was given: its stamp is greater than S.
//! 3. While nobody follows, nothing is recorded. Turning recording on is `on := true; fence; S; look`, a change is
//!    `change; fence; if on, record`. By the fences one of the two sees the other: either the change finds `on` set and
//!    is recorded, which with 2 is after S, or the look finds the change in the directory.
//! 4. What was forgotten, because it was too much or because nobody had followed for long, is told: all changes after
//!    `complete_since` are there, and who asks from an earlier stamp must look again.
//!
//! # What it costs
//! A turn of an actor in memory never comes here. An activation costs a fence and a load of a flag that hardly ever
//! changes; only while somebody follows also the lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::activation::AnyActivation;
use super::clock::{HybridClock, Stamp};
use super::listing::describe;
use super::local::is_listed;
use super::{Core, Placement};

/// How many changes are remembered.
pub const CHANGES_MAX: usize = 65_536;
/// Recording ends when nobody has taken a stamp or asked for changes for so long.
const UNUSED_FOR: Duration = Duration::from_secs(600);
/// No clock is that wrong: stamps that are further in the future are refused, or a mistake would spoil ours for good.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// That an actor came into memory here, or left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The activation; if it has gone, as it was.
    pub placement: Placement,
    /// True if it is not in memory here any more.
    pub gone: bool,
    /// When. Greater than the stamps of all changes before.
    pub stamp: Stamp,
}

/// Some changes, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<Change>,
    /// Every change up to here has been told.
    pub until: Stamp,
}

/// Why changes cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChangesError {
    /// There were changes after that stamp which are not remembered.
    #[error("this node has forgotten what changed after stamp {}; list the placements again", .0.0)]
    Forgotten(Stamp),
    /// The stamp is no stamp, or from a node whose calendar is wrong.
    #[error("stamp {} is more than a day ahead of this node's clock; set the clocks right, then list the placements again", .0.0)]
    InTheFuture(Stamp),
}

/// The changes that are remembered.
pub(super) struct ChangeLog {
    recording: AtomicBool,
    records: Mutex<Records>,
    recorded: Notify,
}

struct Records {
    clock: HybridClock,
    /// In the order of their stamps.
    changes: VecDeque<Change>,
    /// All changes with a greater stamp are in `changes`, while recording.
    complete_since: Stamp,
    last_used: Instant,
}

impl ChangeLog {
    pub(super) fn new(now: Instant) -> Self {
        let records = Records {
            clock: HybridClock::default(),
            changes: VecDeque::new(),
            complete_since: Stamp(0),
            last_used: now,
        };
        Self { recording: AtomicBool::new(false), records: Mutex::new(records), recorded: Notify::new() }
    }

    /// Forgets everything and records no more, if nobody has asked for long.
    pub(super) fn rest_if_unused(&self, now: Instant) {
        if !self.recording.load(Ordering::Relaxed) {
            return;
        }
        let mut records = self.records.lock();
        if now.saturating_duration_since(records.last_used) >= UNUSED_FOR {
            self.recording.store(false, Ordering::Relaxed);
            records.changes = VecDeque::new();
        }
    }
}

impl Records {
    fn push(&mut self, change: Change) {
        if self.changes.len() == CHANGES_MAX
            && let Some(oldest) = self.changes.pop_front()
        {
            self.complete_since = oldest.stamp;
        }
        self.changes.push_back(change);
    }

    /// The oldest `limit` changes after a stamp. `now` is the stamp for "up to now", if that is all.
    fn after(&mut self, after: Stamp, limit: usize, now: u64) -> Result<Changes, ChangesError> {
        if after < self.complete_since {
            return Err(ChangesError::Forgotten(after));
        }
        let first = self.changes.partition_point(|change| change.stamp <= after);
        let changes: Vec<_> = self.changes.range(first..).take(limit).cloned().collect();
        let all = first + changes.len() == self.changes.len();
        let until = match all {
            true => self.clock.next(now),
            false => changes.last().map_or(after, |last| last.stamp),
        };
        Ok(Changes { changes, until })
    }
}

impl Core {
    /// A stamp to follow the placements from: to be taken before the first look at them. It is greater than `told`, a
    /// stamp that the caller has from elsewhere (0: none). From here on changes are recorded for at least ten minutes.
    ///
    /// # Errors
    /// If `told` is more than a day ahead.
    pub fn stamp(&self, told: Stamp) -> Result<Stamp, ChangesError> {
        let mut records = self.used(told)?;
        Ok(records.clock.next(self.unix_us()))
    }

    /// A stamp greater than all before. Unlike [`stamp`](Self::stamp), this makes nobody record changes.
    pub(super) fn next_stamp(&self) -> Stamp {
        self.change_log.records.lock().clock.next(self.unix_us())
    }

    /// The changes after a stamp, oldest first, at most `limit`.
    ///
    /// # Errors
    /// If some of them are not remembered: look at the placements again. Or if the stamp is more than a day ahead.
    pub fn changes(&self, after: Stamp, limit: usize) -> Result<Changes, ChangesError> {
        self.used(after)?.after(after, limit, self.unix_us())
    }

    /// Completes at the next change that is recorded after this call. To be called before [`changes`](Self::changes), so
    /// that none falls in between. Dropping it is harmless.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.change_log.recorded.notified()
    }

    /// The records, with recording on.
    fn used(&self, told: Stamp) -> Result<parking_lot::MutexGuard<'_, Records>, ChangesError> {
        let now = self.unix_us();
        if told.0 > now.saturating_add(AHEAD_MAX.as_micros() as u64) {
            return Err(ChangesError::InTheFuture(told));
        }
        let mut records = self.change_log.records.lock();
        records.last_used = self.env.now();
        records.clock.observe(told);
        if !self.change_log.recording.load(Ordering::Relaxed) {
            self.change_log.recording.store(true, Ordering::Relaxed);
            // Point 3 at the top of this file.
            fence(Ordering::SeqCst);
            records.changes.clear();
            records.complete_since = records.clock.next(now);
        }
        Ok(records)
    }

    /// To be called after an activation was put into the directory or taken out of it.
    pub(super) fn record_change(&self, activation: &dyn AnyActivation) {
        // Point 3 at the top of this file.
        fence(Ordering::SeqCst);
        if self.change_log.recording.load(Ordering::Relaxed) && is_listed(activation) {
            self.record(activation);
        }
    }

    #[cold]
    fn record(&self, changed: &dyn AnyActivation) {
        let now = self.unix_us();
        let mut records = self.change_log.records.lock();
        // Point 1: what stands there now.
        let present = self.placement(changed.id());
        let gone = present.is_none();
        let placement = present.unwrap_or_else(|| describe(changed));
        let stamp = records.clock.next(now);
        records.push(Change { placement, gone, stamp });
        drop(records);
        self.change_log.recorded.notify_waiters();
    }

    fn unix_us(&self) -> u64 {
        self.env.unix_ms().saturating_mul(1000)
    }
}

#[cfg(test)]
mod tests;
