//! Where the state of an idle actor rests, so that a turn can take it without the lock of its activation.
//!
//! A turn that ends where it begins (see `immediate`) takes the state out of here and puts it back: one atomic exchange
//! each. Whoever needs more than that, to wait, to read along, to let the actor leave, works under the lock and first
//! [recalls](Rest::recall) the state. If a turn has it at that moment, the turn becomes an ordinary exclusive one: it finds
//! the place closed at its end, and goes through the lock, too.
//!
//! **Invariant**: the state is in one place: here, in the cell, or with a turn. **Invariant**: who recalls finds the
//! state, or is seen by the turn that has it. For both exchange the same word: if the recall comes first, the turn that
//! puts the state back has what was written before the recall, and that is the closed door.

use crate::sync::{AtomicBool, AtomicCell, Ordering};

/// The place of a state between turns.
pub(super) struct Rest<S> {
    state: AtomicCell<Option<S>>,
    /// The state is here, or with a turn that will bring it here. Changes under the lock of the activation only.
    open: AtomicBool,
    /// A turn has ended since somebody asked.
    used: AtomicBool,
}

/// What was recalled.
pub(super) enum Recalled<S> {
    /// Nothing rests here.
    Nothing,
    State(S),
    /// A turn has it and will give it back through the lock.
    WithATurn,
}

impl<S> Default for Rest<S> {
    fn default() -> Self {
        const { assert!(AtomicCell::<Option<S>>::is_lock_free(), "a state is one pointer") };
        Self { state: AtomicCell::new(None), open: AtomicBool::new(false), used: AtomicBool::new(true) }
    }
}

impl<S> Rest<S> {
    /// The state is here, or will be; this may change at any moment.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// The state, if it rests here: the caller then has the actor for itself.
    pub(super) fn take(&self) -> Option<S> {
        if self.open.load(Ordering::Acquire) { self.state.take() } else { None }
    }

    /// Puts the state back that [`take`](Self::take) has given. `Err` gives it back again: it was recalled meanwhile.
    pub(super) fn put(&self, state: S) -> Result<(), S> {
        if !self.open.load(Ordering::Acquire) {
            return Err(state);
        }
        self.state.swap(Some(state));
        if self.open.load(Ordering::Acquire) {
            return Ok(());
        }
        // The recall came between the two looks: it has found the state, or waits for it.
        self.state.take().map_or(Ok(()), Err)
    }

    /// Closes the place. To be called under the lock.
    pub(super) fn recall(&self) -> Recalled<S> {
        if !self.open.load(Ordering::Relaxed) {
            return Recalled::Nothing;
        }
        self.open.store(false, Ordering::Release);
        self.state.take().map_or(Recalled::WithATurn, Recalled::State)
    }

    /// Closes the place for the turn that has the state. To be called under the lock; false if it was closed.
    pub(super) fn close(&self) -> bool {
        let open = self.open.load(Ordering::Relaxed);
        self.open.store(false, Ordering::Release);
        open
    }

    /// Opens the place with this state in it. To be called under the lock, and only when it is closed.
    pub(super) fn open(&self, state: S) {
        self.open.store(true, Ordering::Release);
        self.state.swap(Some(state));
    }

    /// A turn has ended.
    pub(super) fn mark_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Whether a turn has ended since this was asked last.
    pub(super) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}
