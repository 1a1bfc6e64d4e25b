//! The items of one stream that its consumer has not acknowledged yet: a pure state machine.
//!
//! Every item has a position; positions only grow. A pull names the position from which the consumer wants to go on, and
//! so acknowledges everything before it: that is forgotten. What is not acknowledged is given out again, so a reply that
//! was lost costs nothing, and nothing comes twice. **Invariant**: of the items that were pushed, at most `capacity`
//! wait, whatever the consumer does (under [`WhenFull::Wait`] because who pushes asks for room before).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use crate::codec::{CodecError, ContentType, Payload};
use crate::identity::CallId;
use crate::streams::WhenFull;

/// An item of any type, which is encoded when it is pulled, in the form that its consumer reads.
pub(crate) trait Item: Send + Sync {
    fn encode(&self, content_type: ContentType) -> Result<Payload, CodecError>;
}

impl<T: Serialize + Send + Sync> Item for T {
    fn encode(&self, content_type: ContentType) -> Result<Payload, CodecError> {
        Payload::encode(content_type, "an item of a stream", self)
    }
}

/// An item as the streams of a feed share it.
pub(crate) type SharedItem = Arc<dyn Item>;

/// Items with their positions, and the end if it follows them.
pub(crate) type Look = (Vec<(u64, SharedItem)>, Option<End>);

/// Why a stream has no further items.
#[derive(Clone)]
pub(crate) enum End {
    /// It is complete.
    Done,
    /// The actor ended it with its own error.
    App(SharedItem),
    /// So many items waited for the consumer, and another one came.
    TooSlow(usize),
    /// The stream's own code panicked.
    Panicked(String),
    /// An item cannot be sent.
    Invalid(String),
    /// The stream is not here any more.
    Gone(String),
}

/// The items that wait, and those who have been promised room for more.
pub(crate) struct Buffer {
    /// With their positions, the least first.
    queue: VecDeque<(u64, SharedItem)>,
    /// How many at the front of the queue were there from the beginning: they do not count towards the capacity.
    backlog: usize,
    next_position: u64,
    capacity: usize,
    when_full: WhenFull,
    /// What turns that have not ended yet will push, under [`WhenFull::Wait`].
    promised: HashMap<CallId, usize>,
    end: Option<End>,
}

/// Whether a turn may push.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Promised,
    /// The consumer must take something first.
    NotYet,
    /// The turn itself has used all the room there is.
    OwnTurn,
    /// The stream has ended: what is pushed is for nobody.
    Ended,
}

impl Buffer {
    pub(crate) fn new(backlog: Vec<SharedItem>, capacity: usize, when_full: WhenFull) -> Self {
        let queue: VecDeque<_> = (0..).zip(backlog).collect();
        Self {
            backlog: queue.len(),
            next_position: queue.len() as u64,
            queue,
            capacity,
            when_full,
            promised: HashMap::new(),
            end: None,
        }
    }

    /// How many of the pushed items wait.
    fn waiting(&self) -> usize {
        self.queue.len() - self.backlog
    }

    /// Asks for room for one item of this turn.
    pub(crate) fn promise(&mut self, turn: CallId) -> Room {
        if self.end.is_some() {
            return Room::Ended;
        }
        let of_turn = self.promised.get(&turn).copied().unwrap_or(0);
        if of_turn >= self.capacity {
            return Room::OwnTurn;
        }
        let promised: usize = self.promised.values().sum();
        if self.waiting() + promised >= self.capacity {
            return Room::NotYet;
        }
        self.promised.insert(turn, of_turn + 1);
        Room::Promised
    }

    /// Takes the promise of one item back: it comes now, or not at all.
    pub(crate) fn release(&mut self, turn: CallId) {
        if let Some(count) = self.promised.get_mut(&turn) {
            *count -= 1;
            if *count == 0 {
                self.promised.remove(&turn);
            }
        }
    }

    /// Adds an item, or does what the author has chosen if there is no room.
    pub(crate) fn push(&mut self, item: SharedItem) {
        if self.end.is_some() {
            return;
        }
        if self.waiting() >= self.capacity {
            match self.when_full {
                WhenFull::End => return self.finish(End::TooSlow(self.capacity)),
                WhenFull::DropOldest => drop(self.queue.remove(self.backlog)),
                // Who pushes has asked for room.
                WhenFull::Wait => {}
            }
        }
        self.queue.push_back((self.next_position, item));
        self.next_position += 1;
    }

    /// No items come any more; the first end counts. What waits can still be pulled, unless the stream is gone.
    pub(crate) fn finish(&mut self, end: End) {
        if matches!(end, End::Gone(_)) && !self.queue.is_empty() {
            return self.cut(0, end);
        }
        self.end.get_or_insert(end);
    }

    /// Ends the stream behind its first `kept` items, whatever comes after them.
    pub(crate) fn cut(&mut self, kept: usize, end: End) {
        self.queue.truncate(kept);
        self.backlog = self.backlog.min(kept);
        self.end = Some(end);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Forgets everything before this position: the consumer has it.
    pub(crate) fn acknowledge(&mut self, before: u64) {
        while self.queue.front().is_some_and(|(position, _)| *position < before) {
            self.queue.pop_front();
            self.backlog = self.backlog.saturating_sub(1);
        }
    }

    /// The first items that are not acknowledged, at most so many, and the end if nothing follows them. `None`: there is
    /// nothing to say yet.
    pub(crate) fn look(&self, most: usize) -> Option<Look> {
        let items: Vec<_> = self.queue.iter().take(most).cloned().collect();
        let end = self.end.clone().filter(|_| items.len() == self.queue.len());
        (!items.is_empty() || end.is_some()).then_some((items, end))
    }
}

#[cfg(test)]
mod tests;
