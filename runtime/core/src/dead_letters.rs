//! Messages that nobody took: the last ones that were told, in memory, and how many there were.
//!
//! A message that was told is gone when it cannot be delivered; what is kept here is only for people to see, a bounded
//! number of them, and lost when the node ends. Messages that were sent reliably are kept in their shard instead, see
//! [`outbox`](crate::engine), and can be sent again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use crate::codec::Payload;
use crate::error::CallError;
use crate::identity::ActorId;

/// How many dead letters a node remembers in memory.
pub const DEAD_LETTERS_MAX: usize = 1024;
/// The longest text of an error that a dead letter keeps, in bytes.
const ERROR_MAX: usize = 512;

/// A message that nobody took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// What to call it: unique on this node, and of a durable one in the cluster.
    pub id: String,
    /// Who has sent it, if that is known: a message that was told does not say.
    pub from: Option<ActorId>,
    /// For whom it was.
    pub target: ActorId,
    /// The method that it calls.
    pub method: SmolStr,
    /// The kind of the error, as [`CallError::kind`] names it.
    pub kind: String,
    /// The error in words.
    pub error: String,
    /// When it was given up, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// True if it is kept in its shard and can be sent again; false if only this node's memory remembers it.
    pub durable: bool,
}

/// The dead letters of a node that are in memory, and the counts of all.
#[derive(Debug, Default)]
pub struct DeadLetters {
    last: Mutex<VecDeque<DeadLetter>>,
    counts: [AtomicU64; KINDS],
    dropped: AtomicU64,
    given: AtomicU64,
}

const KINDS: usize = CallError::<()>::KINDS.len();

impl DeadLetters {
    /// Remembers a message that was told and that nobody took.
    pub fn told(&self, now_unix_ms: u64, target: ActorId, method: SmolStr, error: &CallError<Payload>) {
        tracing::warn!(%target, %method, %error, "a message was told and nobody took it");
        self.count(error.kind());
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        // Nodes do not know of each other's: what is said of a letter must not fit one of another node.
        let id = xxh3_64(format!("{target} {method} {now_unix_ms} {number}").as_bytes());
        let id = format!("memory-{id:016x}");
        let (kind, error) = (error.kind().to_owned(), error_text(error));
        let letter = DeadLetter {
            id,
            from: None,
            target,
            method,
            kind,
            error,
            at_unix_ms: now_unix_ms,
            durable: false,
        };
        let mut last = self.last.lock();
        if last.len() >= DEAD_LETTERS_MAX {
            last.pop_front();
        }
        last.push_back(letter);
    }

    /// Counts a dead letter of this kind of error, wherever it is kept.
    pub(crate) fn count(&self, kind: &str) {
        if let Some(at) = CallError::<()>::KINDS.iter().position(|(name, _)| *name == kind) {
            self.counts[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts durable dead letters that had to make room or were too old.
    pub(crate) fn count_dropped(&self, letters: usize) {
        self.dropped.fetch_add(letters as u64, Ordering::Relaxed);
    }

    /// Those in memory, oldest first.
    pub fn in_memory(&self) -> Vec<DeadLetter> {
        self.last.lock().iter().cloned().collect()
    }

    /// Forgets one of those in memory; false if there is none with this id.
    pub fn forget(&self, id: &str) -> bool {
        let mut last = self.last.lock();
        let before = last.len();
        last.retain(|letter| letter.id != id);
        last.len() < before
    }

    /// How many messages became dead letters since the start, by kind of error.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let kinds = CallError::<()>::KINDS.iter().map(|(kind, _)| *kind);
        kinds.zip(&self.counts).map(|(kind, count)| (kind, count.load(Ordering::Relaxed))).collect()
    }

    /// How many durable dead letters were dropped, because there were too many or they were too old.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The error in words, cut to a length that may be kept.
pub(crate) fn error_text(error: &CallError<Payload>) -> String {
    let mut text = error.to_string();
    if text.len() > ERROR_MAX {
        let end = (0..=ERROR_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_all_are_counted() {
        let letters = DeadLetters::default();
        let target: ActorId = "Thing/x".parse().unwrap();
        for n in 0..DEAD_LETTERS_MAX as u64 + 2 {
            letters.told(n, target.clone(), "m".into(), &CallError::NotFound("no such type".into()));
        }
        let kept = letters.in_memory();
        assert_eq!((kept.len(), kept[0].at_unix_ms), (DEAD_LETTERS_MAX, 2));
        let counted = letters.counts().into_iter().find(|(kind, _)| *kind == "not_found");
        assert_eq!(counted, Some(("not_found", DEAD_LETTERS_MAX as u64 + 2)));
        assert!(letters.forget(&kept[0].id) && !letters.forget(&kept[0].id));
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let text = error_text(&CallError::Invalid("ä".repeat(ERROR_MAX)));
        assert!(text.len() <= ERROR_MAX + '…'.len_utf8() && text.ends_with('…'));
    }
}
