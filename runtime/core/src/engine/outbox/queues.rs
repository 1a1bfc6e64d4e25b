//! Which messages of a shard are known to wait, without I/O.
//!
//! Messages of one sender and lane to one target are sent one after the other; such a line is a [`Pair`]. **Invariant**:
//! what a pair holds is the beginning of what waits for it; behind that there may be more in the journal, and then
//! [`Pair::more`] is set. So the first that it holds is always the one to be sent next, in whatever order messages become
//! known, and memory is bounded however many wait.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::message::Message;
use crate::identity::{ActorId, Seq};

/// How many messages of a pair are kept in memory.
pub(super) const PER_PAIR: usize = 32;

/// A line of messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PairId {
    pub(super) from: ActorId,
    pub(super) lane: u8,
    pub(super) target: ActorId,
}

/// A message that is known to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The record that has to be durable before it is sent.
    pub(super) seq: Seq,
    pub(super) message: Message,
    /// It may have been sent before, by another owner of the shard or another run.
    pub(super) again: bool,
}

#[derive(Debug, Default)]
pub(super) struct Pair {
    waiting: BTreeMap<Bytes, Waiting>,
    more: bool,
    /// The newest record of a message of this pair.
    newest: Seq,
    /// Somebody sends.
    pub(super) busy: bool,
}

/// What comes next of a pair.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    Send(Bytes, Waiting),
    /// The journal is to be read, when this record is durable.
    Read(Seq),
}

impl Pair {
    /// A message has become known. One that is known stays as it is.
    pub(super) fn add(&mut self, key: Bytes, waiting: Waiting) {
        self.newest = self.newest.max(waiting.seq);
        if self.more && self.waiting.last_key_value().is_none_or(|(last, _)| key > *last) {
            return;
        }
        self.waiting.entry(key).or_insert(waiting);
        if self.waiting.len() > PER_PAIR {
            self.waiting.pop_last();
            self.more = true;
        }
    }

    pub(super) fn next(&self) -> Next {
        match self.waiting.first_key_value() {
            Some((key, waiting)) => Next::Send(key.clone(), waiting.clone()),
            None if self.more => Next::Read(self.newest),
            None => Next::Nothing,
        }
    }

    /// The message is applied or given up.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.waiting.remove(key);
    }

    /// The journal is being read: what becomes known from now on counts again.
    pub(super) fn reading(&mut self) {
        self.more = false;
    }

    /// The journal has more than was read.
    pub(super) fn has_more(&mut self) {
        self.more = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Payload;
    use crate::identity::CallId;

    fn waiting(seq: u64) -> Waiting {
        let message = Message {
            target: "Bank/b".parse().unwrap(),
            method: "take".into(),
            arguments: Payload::default(),
            id: CallId(seq.into()),
            request: Default::default(),
        };
        Waiting { seq: Seq(seq), message, again: false }
    }

    fn key(number: u32) -> Bytes {
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    proptest! {
        /// Whatever becomes known when: the next to be sent is the least that waits, or the journal is read first.
        #[test]
        fn the_next_is_the_least_that_waits(steps in proptest::collection::vec((any::<bool>(), 0u32..200), 0..400)) {
            // The journal as it is when it is read: everything that was ever added and not removed.
            let mut stored = std::collections::BTreeSet::new();
            let (mut pair, mut given, mut sent) = (Pair::default(), 1_000u32, Vec::new());
            // A scan finds these, in any order, before anything is sent.
            for (_, old) in &steps {
                stored.insert(*old);
                pair.add(key(*old), waiting(0));
            }
            for (sends, _) in steps {
                if !sends {
                    given += 1;
                    stored.insert(given);
                    pair.add(key(given), waiting(u64::from(given)));
                    continue;
                }
                match pair.next() {
                    Next::Nothing => prop_assert!(stored.is_empty()),
                    Next::Read(_) => {
                        pair.reading();
                        for number in stored.iter().take(PER_PAIR) {
                            pair.add(key(*number), waiting(0));
                        }
                        if stored.len() > PER_PAIR {
                            pair.has_more();
                        }
                    }
                    Next::Send(next, _) => {
                        let least = stored.pop_first().expect("only what is stored is sent");
                        prop_assert_eq!(&next, &key(least));
                        pair.remove(&next);
                        sent.push(least);
                    }
                }
                prop_assert!(pair.waiting.len() <= PER_PAIR);
            }
            prop_assert!(sent.is_sorted());
        }
    }
}
