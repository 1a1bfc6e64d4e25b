//! The reminders of one shard that are due next. Pure.
//!
//! A shard may have any number of reminders; the agenda holds the first of them in the order of their due times, at most
//! [`WAITING_MAX`], and reads on when it runs short. **Invariant**: every row before `known_until` is in the agenda, and
//! none behind it. A page that is read shows only what was durable then; what turns have changed since is kept in
//! `recent` until every later page will show it, and is applied on top.
//!
//! A reminder that has been taken is *busy* until its row changes, which is what a tick's commit does. Each taking has a
//! ticket, so that a tick which comes late learns that its reminder has become another one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};

use super::stored::{due_of, name_in};
use crate::identity::Seq;
use crate::rows::{RowRange, Space};

/// How many reminders wait in memory at most, of one shard.
pub(super) const WAITING_MAX: usize = 128;
/// With fewer than this many the next page is read.
const WAITING_LOW: usize = 32;
/// How many rows are read at once.
pub(super) const PAGE: usize = 96;
/// With so many reminders that tick or will be tried again, no others are taken.
const BUSY_MAX: usize = 1024;

pub(super) struct Agenda {
    /// Rows by due time, each with the record that set it: it must be durable before the reminder ticks.
    waiting: BTreeMap<Bytes, Seq>,
    busy: BTreeMap<Bytes, Busy>,
    /// When busy ones are tried again.
    again: BTreeSet<(u64, Bytes)>,
    /// `None`: no row is left on disk that is not here.
    known_until: Option<Bytes>,
    /// Where the page that is being read begins.
    reading: Option<Bytes>,
    /// The changes that a page may not show, in their order: the record, the key, and whether the row is there.
    recent: VecDeque<(Seq, Bytes, bool)>,
    tickets: u64,
}

struct Busy {
    ticket: u64,
    /// How often it has failed.
    failures: u32,
    again_at: Option<u64>,
}

/// A reminder that is due now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) key: Bytes,
    /// The record that must be durable first.
    pub(super) seq: Seq,
    pub(super) ticket: u64,
    pub(super) failures: u32,
}

/// What the agenda knows of a reminder's due time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its row by due time.
    Due(Bytes),
    /// There is no such reminder.
    Nothing,
    /// Only the disk knows.
    OnDisk,
}

impl Agenda {
    /// Knows nothing, and wants its first page.
    pub(super) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            busy: BTreeMap::new(),
            again: BTreeSet::new(),
            known_until: Some(Bytes::new()),
            reading: None,
            recent: VecDeque::new(),
            tickets: 0,
        }
    }

    /// A commit has written or removed a row.
    pub(super) fn changed(&mut self, seq: Seq, key: Bytes, present: bool, committed: Seq) {
        self.forget_recent(committed);
        self.recent.push_back((seq, key.clone(), present));
        self.apply(seq, key, present);
    }

    fn apply(&mut self, seq: Seq, key: Bytes, present: bool) {
        if present {
            if self.knows(&key) && !self.busy.contains_key(&key) {
                self.waiting.insert(key, seq);
                self.shorten();
            }
        } else {
            self.waiting.remove(&key);
            if let Some(Busy { again_at: Some(at), .. }) = self.busy.remove(&key) {
                self.again.remove(&(at, key));
            }
        }
    }

    fn knows(&self, key: &Bytes) -> bool {
        self.known_until.as_ref().is_none_or(|until| key < until)
    }

    /// Leaves the last ones to the disk if there are too many.
    fn shorten(&mut self) {
        while self.waiting.len() > WAITING_MAX {
            if let Some((last, _)) = self.waiting.pop_last() {
                self.known_until = Some(last);
            }
        }
    }

    /// Forgets the changes that every page from now on will show.
    fn forget_recent(&mut self, committed: Seq) {
        while self.reading.is_none() && self.recent.front().is_some_and(|(seq, ..)| *seq <= committed) {
            self.recent.pop_front();
        }
    }

    pub(super) fn wants_page(&self) -> bool {
        let short = self.waiting.len() < WAITING_LOW && self.busy.len() < BUSY_MAX;
        short && self.known_until.is_some() && self.reading.is_none()
    }

    /// The page to read now, if one is needed; everything up to `committed` will be on it.
    pub(super) fn begin_page(&mut self, committed: Seq) -> Option<RowRange> {
        if !self.wants_page() {
            return None;
        }
        self.forget_recent(committed);
        let from = self.known_until.clone()?;
        self.reading = Some(from.clone());
        Some(RowRange { space: Space::DUE, from, until: None })
    }

    /// The page has been read: at most [`PAGE`] keys.
    pub(super) fn end_page(&mut self, keys: Vec<Bytes>) {
        let from = self.reading.take();
        if self.known_until != from {
            // Shortened meanwhile: the page does not go on where the agenda ends.
            return;
        }
        self.known_until = match keys.last() {
            Some(last) if keys.len() == PAGE => {
                let mut behind = BytesMut::from(&last[..]);
                behind.put_u8(0);
                Some(behind.freeze())
            }
            _ => None,
        };
        for key in keys {
            if !self.busy.contains_key(&key) {
                self.waiting.insert(key, Seq(0));
            }
        }
        for (seq, key, present) in self.recent.clone() {
            // What is busy has been told of each change already.
            let on_page = from.as_ref().is_some_and(|from| key >= *from);
            if on_page && !self.busy.contains_key(&key) {
                self.apply(seq, key, present);
            }
        }
        self.shorten();
    }

    /// The page could not be read.
    pub(super) fn fail_page(&mut self) {
        self.reading = None;
    }

    /// When there is something to do; zero: a page is wanted.
    pub(super) fn next_event(&self) -> Option<u64> {
        if self.wants_page() {
            return Some(0);
        }
        let first = self.waiting.keys().next().filter(|_| self.busy.len() < BUSY_MAX).map(|key| due_of(key));
        let again = self.again.first().map(|(at, _)| *at);
        [first, again].into_iter().flatten().min()
    }

    /// The next reminder that is due, which then is busy.
    pub(super) fn take(&mut self, now: u64) -> Option<Taken> {
        self.tickets += 1;
        let ticket = self.tickets;
        if let Some((_, key)) = self.again.first().filter(|(at, _)| *at <= now).cloned() {
            self.again.pop_first();
            let busy = self.busy.get_mut(&key)?;
            (busy.ticket, busy.again_at) = (ticket, None);
            return Some(Taken { key, seq: Seq(0), ticket, failures: busy.failures });
        }
        let first = self.waiting.first_entry().filter(|first| due_of(first.key()) <= now)?;
        if self.busy.len() >= BUSY_MAX {
            return None;
        }
        let (key, seq) = first.remove_entry();
        self.busy.insert(key.clone(), Busy { ticket, failures: 0, again_at: None });
        Some(Taken { key, seq, ticket, failures: 0 })
    }

    /// Whether what was taken is still to be done.
    pub(super) fn is_current(&self, key: &Bytes, ticket: u64) -> bool {
        self.busy.get(key).is_some_and(|busy| busy.ticket == ticket)
    }

    /// It could not be done and is to be tried again at this time; false if it is none of the agenda's any more.
    pub(super) fn again(&mut self, key: &Bytes, ticket: u64, failures: u32, at: u64) -> bool {
        let Some(busy) = self.busy.get_mut(key).filter(|busy| busy.ticket == ticket) else { return false };
        (busy.failures, busy.again_at) = (failures, Some(at));
        self.again.insert((at, key.clone()))
    }

    /// What is known of the reminder with this name. Few are in memory, so a look at all of them is cheap.
    pub(super) fn find(&self, name_key: &[u8]) -> Known {
        let mut keys = self.waiting.keys().chain(self.busy.keys());
        match keys.find(|key| name_in(key) == name_key) {
            Some(key) => Known::Due(key.clone()),
            None if self.known_until.is_none() => Known::Nothing,
            None => Known::OnDisk,
        }
    }

    /// How many are in memory.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.busy.len()
    }
}

#[cfg(test)]
mod tests;
