//! Durable dead letters: messages that were sent reliably and given up.
//!
//! A shard keeps the newest [`LETTERS_MAX`], for [`LETTERS_KEPT`]; what is dropped is counted. A letter that is sent
//! again keeps its call id.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::message::LetterId;
use super::{Letter, Message, Outbox, PAGE, PairId, ShardBox, State, append};
use crate::codec::Payload;
use crate::dead_letters::{DeadLetter, error_text};
use crate::engine::Core;
use crate::error::CallError;
use crate::rows::{RowChange, RowRange, Space};
use crate::shard::OwnedShard;

/// How many dead letters a shard keeps.
pub(super) const LETTERS_MAX: usize = 1_000;
/// How long it keeps them.
pub(super) const LETTERS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why nothing can be done with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeadLetterError {
    /// There is none with this id.
    #[error("no dead letter {0}; list them again: it may have been sent again, deleted or dropped")]
    NotFound(String),
    /// Its shard is served by another node.
    #[error("the shard of dead letter {0} is not served by this node; ask the node that serves it")]
    Elsewhere(String),
    /// It is only remembered.
    #[error(
        "dead letter {0} was told, not sent reliably: only what it was is known, so it cannot be sent again"
    )]
    NotKept(String),
    /// The journal or the shard cannot do it now.
    #[error("the dead letter cannot be changed now: {0}; try again")]
    NotNow(String),
}

impl Outbox {
    pub(super) async fn scan_letters(&self, of: &Arc<ShardBox>) {
        let mut range = RowRange::all(Space::DEAD_LETTER);
        while let Some(rows) = self.read(&of.shard, range.clone(), PAGE).await {
            of.state.lock().letters.extend(rows.iter().map(|(key, _)| key.clone()));
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => range = range.after(last),
                _ => break,
            }
        }
    }

    /// Gives a message up: in one record it leaves the outbox and becomes a dead letter. `None` if the shard is closed.
    pub(super) async fn bury(
        &self,
        of: &Arc<ShardBox>,
        id: &PairId,
        key: &Bytes,
        message: Message,
        error: &CallError<Payload>,
    ) -> Option<()> {
        let (target, method) = (&message.target, &message.method);
        tracing::warn!(from = %id.from, %target, %method, %error, "a reliable message was given up: a dead letter");
        let (kind, text, at_unix_ms) = (error.kind().to_owned(), error_text(error), self.env.unix_ms());
        let letter = Letter { from: id.from.clone(), message, kind, error: text, at_unix_ms };
        let mut rows = vec![RowChange::remove(Space::OUTBOX, key.clone()), letter.row()];
        let dropped = of.state.lock().make_room(letter.key(), at_unix_ms);
        rows.extend(dropped.iter().map(|key| RowChange::remove(Space::DEAD_LETTER, key.clone())));
        append(&of.shard, rows).await?;
        if let Some(core) = self.core() {
            core.dead_letters.count(error.kind());
            core.dead_letters.count_dropped(dropped.len());
        }
        if let Some(pair) = of.state.lock().pairs.get_mut(id) {
            pair.remove(key);
        }
        Some(())
    }

    /// The rows by which a call that an actor of this shard was to get from itself becomes a dead letter. They are for a
    /// record of the caller's.
    pub(in crate::engine) fn letter_rows(
        &self,
        shard: &Arc<OwnedShard>,
        message: Message,
        error: &CallError<Payload>,
    ) -> Vec<RowChange> {
        let (kind, text, at_unix_ms) = (error.kind().to_owned(), error_text(error), self.env.unix_ms());
        let letter = Letter { from: message.target.clone(), message, kind, error: text, at_unix_ms };
        let dropped = self.of(shard).map(|of| of.state.lock().make_room(letter.key(), at_unix_ms));
        let dropped = dropped.unwrap_or_default();
        if let Some(core) = self.core() {
            core.dead_letters.count(error.kind());
            core.dead_letters.count_dropped(dropped.len());
        }
        let dropped = dropped.into_iter().map(|key| RowChange::remove(Space::DEAD_LETTER, key));
        [letter.row()].into_iter().chain(dropped).collect()
    }

    /// The newest dead letters of the shards that are served here, and how many there are.
    async fn letters(&self, limit: usize) -> (Vec<DeadLetter>, usize) {
        let shards: Vec<_> = self.shards.lock().values().cloned().collect();
        let since = self.env.unix_ms().saturating_sub(LETTERS_KEPT.as_millis() as u64);
        let mut keys = Vec::new();
        for of in &shards {
            let letters = &of.state.lock().letters;
            let kept = letters.iter().rev().take_while(|key| Letter::time(key) >= since);
            keys.extend(kept.map(|key| (key.clone(), of.clone())));
        }
        let all = keys.len();
        keys.sort_by(|(a, _), (b, _)| b.cmp(a));
        let mut letters = Vec::new();
        for (key, of) in keys.into_iter().take(limit) {
            let row =
                self.read(&of.shard, RowRange::one(Space::DEAD_LETTER, key), 1).await.unwrap_or_default();
            let letter = row.first().and_then(|(_, value)| Letter::read(value));
            letters.extend(letter.map(|letter| letter.shown(of.shard.shard())));
        }
        (letters, all)
    }

    async fn take_letter(&self, id: &str, again: bool) -> Result<(), DeadLetterError> {
        let not_found = || DeadLetterError::NotFound(id.to_owned());
        let not_now = |why: &str| DeadLetterError::NotNow(why.to_owned());
        let LetterId { shard, key } = LetterId::read(id).ok_or_else(not_found)?;
        let of = self.shards.lock().get(&shard).cloned();
        let of = of.ok_or_else(|| DeadLetterError::Elsewhere(id.to_owned()))?;
        let row = self.read(&of.shard, RowRange::one(Space::DEAD_LETTER, key.clone()), 1).await;
        let row = row.ok_or_else(|| not_now("the shard is moving"))?;
        let letter = row.first().and_then(|(_, value)| Letter::read(value)).ok_or_else(not_found)?;
        // Whoever takes it out of the set first does it; the row itself goes a little later.
        if !of.state.lock().letters.remove(&key) {
            return Err(not_found());
        }
        let instead_of = RowChange::remove(Space::DEAD_LETTER, key.clone());
        let appended = match again {
            true => self.requeue(&of, letter.from, letter.message, instead_of),
            false => of.shard.append_rows(vec![instead_of]),
        };
        let Ok(seq) = appended else {
            of.state.lock().letters.insert(key);
            return Err(not_now("its record was not taken"));
        };
        of.shard.gate().wait(seq).await.map_err(|_| not_now("the shard is moving"))
    }
}

impl State {
    /// Adds a dead letter and takes out those that must go for it.
    fn make_room(&mut self, key: Bytes, now_unix_ms: u64) -> Vec<Bytes> {
        self.letters.insert(key);
        let since = now_unix_ms.saturating_sub(LETTERS_KEPT.as_millis() as u64);
        let mut gone = Vec::new();
        while let Some(oldest) = self.letters.first()
            && (self.letters.len() > LETTERS_MAX || Letter::time(oldest) < since)
        {
            gone.extend(self.letters.pop_first());
        }
        gone
    }
}

impl Core {
    /// The newest dead letters of this node, newest first, and how many there are: those of its shards, and what it
    /// remembers of messages that were told.
    pub async fn list_dead_letters(&self, limit: usize) -> (Vec<DeadLetter>, usize) {
        let (mut letters, durable) = self.outbox.letters(limit).await;
        let remembered = self.dead_letters.in_memory();
        let all = durable + remembered.len();
        letters.extend(remembered);
        letters.sort_by(|a, b| (b.at_unix_ms, &b.id).cmp(&(a.at_unix_ms, &a.id)));
        letters.truncate(limit);
        (letters, all)
    }

    /// Sends a durable dead letter again, behind everything that its sender has sent. Returns when that is durable.
    pub async fn resend_dead_letter(&self, id: &str) -> Result<(), DeadLetterError> {
        if self.dead_letters.in_memory().iter().any(|letter| letter.id == id) {
            return Err(DeadLetterError::NotKept(id.to_owned()));
        }
        self.outbox.take_letter(id, true).await
    }

    /// Deletes a dead letter. Returns when that is durable.
    pub async fn delete_dead_letter(&self, id: &str) -> Result<(), DeadLetterError> {
        if self.dead_letters.forget(id) {
            return Ok(());
        }
        self.outbox.take_letter(id, false).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn key(time: u64) -> Bytes {
        let mut key = Vec::new();
        key.put_u64(time);
        key.put_u128(time.into());
        key.into()
    }

    #[test]
    fn the_oldest_letters_make_room_and_old_ones_go() {
        let mut state = State::default();
        for time in 1..=LETTERS_MAX as u64 {
            assert!(state.make_room(key(time), time).is_empty());
        }
        assert_eq!(state.make_room(key(5_000), 5_000), [key(1)]);
        let week = LETTERS_KEPT.as_millis() as u64;
        let gone = state.make_room(key(week + 1_000), week + 1_000);
        assert_eq!((gone.len(), gone.last()), (998, Some(&key(999))));
    }
}
