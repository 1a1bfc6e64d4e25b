//! What becomes of an actor whose methods panic again and again, as its type says.
//!
//! Every panic is rolled back. A type that *backs off* then refuses calls for a while, twice as long after each further
//! panic in a row; one that *parks* refuses them after so many panics in a row, until somebody lets it go on. A turn that
//! ends without a panic ends the row. All this is kept in memory by the node that owns the actor: elsewhere, and after a
//! restart, an actor begins anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Core;
use crate::actor::{Actor, OnPanic};
use crate::error::CallError;
use crate::identity::ActorId;

/// How long calls are refused after the first panic of a row.
const FIRST: Duration = Duration::from_millis(100);
/// No refusal is longer than this.
const LONGEST: Duration = Duration::from_secs(30);
/// A row that nobody has added to for so long after its refusal is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// A row of panics.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    panics: u32,
    last: String,
    /// Before this moment a type that backs off refuses calls.
    until: Instant,
}

impl Row {
    fn refusal<E>(&self, policy: OnPanic, actor: &ActorId, now: Instant) -> Option<CallError<E>> {
        let Self { panics, last, until } = self;
        match policy {
            OnPanic::Park { after } if *panics >= after => Some(CallError::Refused(format!(
                "{actor} is parked after {panics} panics in a row, the last: {last}; \
                 `greenroom deactivate {actor}` lets it take calls again"
            ))),
            OnPanic::Backoff if now < *until => Some(CallError::Unavailable(format!(
                "{actor} takes no calls for {:?} after {panics} panics in a row, the last: {last}",
                *until - now
            ))),
            _ => None,
        }
    }
}

/// How long calls are refused after so many panics in a row.
fn pause(panics: u32) -> Duration {
    FIRST.saturating_mul(1 << panics.saturating_sub(1).min(16)).min(LONGEST)
}

/// The rows of this node's actors. Only types with a policy ever have one.
#[derive(Default)]
pub(super) struct Supervision {
    rows: Mutex<HashMap<ActorId, Row>>,
    /// How many there are, so that a well actor costs one look at a number that hardly ever changes.
    count: AtomicUsize,
}

impl Supervision {
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<ActorId, Row>) -> T) -> T {
        let mut rows = self.rows.lock();
        let changed = change(&mut rows);
        self.count.store(rows.len(), Ordering::Relaxed);
        changed
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }
}

impl Core {
    /// Why this actor takes no calls now, if it does not.
    pub(super) fn check_supervision<A: Actor, E>(&self, actor: &ActorId) -> Result<(), CallError<E>> {
        if matches!(A::OPTIONS.on_panic, OnPanic::Reload) || self.supervision.is_empty() {
            return Ok(());
        }
        let rows = self.supervision.rows.lock();
        let refusal = rows.get(actor).and_then(|row| row.refusal(A::OPTIONS.on_panic, actor, self.env.now()));
        refusal.map_or(Ok(()), Err)
    }

    /// A method of this actor has panicked.
    pub(super) fn panicked<A: Actor>(&self, actor: &ActorId, message: &str) {
        if matches!(A::OPTIONS.on_panic, OnPanic::Reload) {
            return;
        }
        let now = self.env.now();
        self.supervision.change(|rows| {
            let panics = rows.get(actor).map_or(0, |row| row.panics) + 1;
            let row = Row { panics, last: message.to_owned(), until: now + pause(panics) };
            rows.insert(actor.clone(), row);
        });
    }

    /// A method of this actor has ended without a panic.
    pub(super) fn did_not_panic<A: Actor>(&self, actor: &ActorId) {
        if !matches!(A::OPTIONS.on_panic, OnPanic::Reload) && !self.supervision.is_empty() {
            self.supervision.change(|rows| rows.remove(actor));
        }
    }

    /// Lets an actor take calls again. Returns whether it had panicked.
    pub(super) fn forgive(&self, actor: &ActorId) -> bool {
        !self.supervision.is_empty() && self.supervision.change(|rows| rows.remove(actor).is_some())
    }

    /// Forgets old rows, and those of actors that live elsewhere by now.
    pub(super) fn tidy_supervision(&self, now: Instant) {
        if self.supervision.is_empty() {
            return;
        }
        let parks = |actor: &ActorId| {
            let table = self.types.get(actor.actor_type.as_str());
            table.is_some_and(|table| matches!(table.options().on_panic, OnPanic::Park { .. }))
        };
        self.supervision.change(|rows| {
            rows.retain(|actor, row| {
                self.place_of(actor).is_some() && (parks(actor) || now < row.until + FORGOTTEN_AFTER)
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_panic_doubles_the_pause_up_to_the_longest() {
        let pauses: Vec<_> = [1, 2, 3, 9, 10, u32::MAX].map(|panics| pause(panics).as_millis()).into();
        assert_eq!(pauses, [100, 200, 400, 25_600, 30_000, 30_000]);
    }
}
