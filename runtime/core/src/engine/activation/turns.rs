//! What threads share of an activation: its turn lock under a mutex, and the place where its state rests.
//!
//! The state is in the turn lock, at rest, or with a turn. A turn that takes it where it rests tells the turn lock
//! nothing. Hence the protocol: who works with the turn lock [locks](Turns::lock) and recalls, and so learns of such a
//! turn; a turn that finds its place closed at its end goes through the turn lock, which **knows of it by then**; and an
//! exclusive turn that leaves nobody waiting lays the state down to rest again. The place opens and closes only under
//! the mutex.
//!
//! `runtime/models` runs this file, `rest` and `turn_lock` under the interleavings of a few threads.

use super::rest::{Recalled, Rest};
use super::turn_lock::{Entry, Granted, TurnLock, Waits};
use crate::sync::{Mutex, MutexGuard};

/// Who has the actor and who waits for it; `K` is what else is kept under the lock.
///
/// A turn that finds the state at rest, and leaves it there, looks at nothing else of this: so that comes first.
#[repr(C)]
pub(crate) struct Turns<S, W, K> {
    rest: Rest<S>,
    cell: Mutex<Cell<S, W, K>>,
}

/// What stands under the mutex.
#[repr(C)]
pub(crate) struct Cell<S, W, K> {
    pub(crate) turns: TurnLock<S, W>,
    pub(crate) kept: K,
}

impl<S: Clone, W: Waits, K> Turns<S, W, K> {
    pub(crate) fn new(kept: K) -> Self {
        Self { rest: Rest::default(), cell: Mutex::new(Cell { turns: TurnLock::default(), kept }) }
    }

    /// The cell, with a state that rested in its turn lock; a turn that has such a state becomes an ordinary exclusive
    /// one. For whoever asks who has the actor.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Cell<S, W, K>> {
        let mut cell = self.cell.lock();
        match self.rest.recall() {
            Recalled::Nothing => {}
            Recalled::State(state) => cell.turns.put_in(state),
            Recalled::WithATurn => cell.turns.was_taken(),
        }
        cell
    }

    /// The cell as it is: for a turn that was given out under the lock, and for what does not depend on turns.
    pub(crate) fn peek(&self) -> MutexGuard<'_, Cell<S, W, K>> {
        self.cell.lock()
    }

    /// A turn, if nobody else has one or waits for one. To be ended by [`give_back`](Self::give_back).
    #[inline]
    pub(crate) fn begin(&self, entry: Entry) -> Option<Granted<S>> {
        if entry.exclusive
            && let Some(state) = self.rest.take()
        {
            return Some((true, Some(state)));
        }
        self.lock().turns.enter(entry)
    }

    /// Takes a finished turn back, with the state if it was exclusive; a concurrent turn has dropped its reference to it.
    /// Lays the state down if nobody has asked for the actor. Else each turn that may run now is made by `granted`, under
    /// the lock, and then goes to `run`, behind it.
    #[inline]
    pub(crate) fn give_back<T>(
        &self,
        exclusive: bool,
        state: Option<S>,
        granted: impl FnMut(W, Granted<S>) -> T,
        run: impl FnMut(T),
    ) {
        self.rest.mark_used();
        let state = match state {
            Some(state) if exclusive => match self.rest.put(state) {
                Ok(()) => return,
                Err(state) => Some(state),
            },
            other => other,
        };
        self.pass_on(exclusive, state, granted).into_iter().for_each(run);
    }

    fn pass_on<T>(
        &self,
        exclusive: bool,
        state: Option<S>,
        mut granted: impl FnMut(W, Granted<S>) -> T,
    ) -> Vec<T> {
        let mut grants = Vec::new();
        let mut cell = self.cell.lock();
        if exclusive && self.rest.close() {
            // The turn took the state where it rested, nobody has recalled it, and it does not go back there.
            cell.turns.was_taken();
        }
        if let Err(left) = cell.turns.take_back(exclusive, state) {
            drop(cell);
            drop(left);
            return grants;
        }
        if !cell.turns.nobody_has_waited() {
            // Under the lock: an exclusive turn must find itself the only holder of the state.
            cell.turns.grant(|wants, turn| grants.push(granted(wants, turn)));
        }
        // Turns that only read leave the state in the turn lock, where the next of them finds it.
        if exclusive && let Some(state) = cell.turns.take_out() {
            self.rest.open(state);
        }
        grants
    }

    /// Whether the state rests, or is with a turn that will lay it down again if nobody asks for the actor meanwhile.
    pub(crate) fn rests(&self) -> bool {
        self.rest.is_open()
    }

    /// Whether a turn has ended since this was asked last.
    pub(crate) fn was_used(&self) -> bool {
        self.rest.was_used()
    }
}
