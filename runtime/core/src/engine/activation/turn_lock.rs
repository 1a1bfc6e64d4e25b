//! Who has the actor, and who waits for it: the turn lock and its mailbox, without the mutex around them. Pure.
//!
//! First come, first served: an exclusive turn has the actor for itself, concurrent turns run together, and nobody
//! overtakes who waits. Whoever gives the actor back grants the turns that may run now, so **no turn waits while nobody
//! has the actor**, and each is granted once.
//!
//! While an exclusive turn runs the state is with it and not here, so a second one cannot start.

use std::collections::VecDeque;

/// A lock around a shared reference to a state, with those who wait for it.
#[repr(C)]
pub(crate) struct TurnLock<S, W> {
    /// `None` before it is loaded, while it rests elsewhere, and while an exclusive turn has it.
    state: Option<S>,
    held: Held,
    waiting: VecDeque<Waiter<W>>,
}

/// Who has the actor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Nobody,
    Concurrent(u32),
    Exclusive,
    /// The activation has left memory: whoever still holds it looks for another.
    Gone,
}

struct Waiter<W> {
    exclusive: bool,
    wants: W,
}

/// What waits for a turn.
pub(crate) trait Waits {
    /// Nobody wants the turn any more.
    fn has_left(&self) -> bool;
}

/// Why a turn cannot begin.
pub(crate) enum EnterError {
    /// The activation has left memory; look for another.
    Gone,
    /// The mailbox is full.
    Overloaded,
}

/// How a turn enters.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) exclusive: bool,
    /// The call chain holds a concurrent turn of this actor already.
    pub(crate) reenter: bool,
    /// How many may wait before it.
    pub(crate) mailbox: usize,
}

/// A turn that was given out: whether it is exclusive, and the state for it.
pub(crate) type Granted<S> = (bool, Option<S>);

impl<S, W> Default for TurnLock<S, W> {
    fn default() -> Self {
        Self { state: None, held: Held::Nobody, waiting: VecDeque::new() }
    }
}

impl<S: Clone, W: Waits> TurnLock<S, W> {
    /// The state, if it is here.
    pub(crate) fn state(&self) -> Option<&S> {
        self.state.as_ref()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// No turn runs, and the activation has not left memory.
    pub(crate) fn is_idle(&self) -> bool {
        self.held == Held::Nobody
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.held == Held::Gone
    }

    /// Whether somebody has the actor who will grant the turn of who waits now.
    pub(crate) fn is_taken(&self) -> bool {
        !self.is_idle() || !self.waiting.is_empty()
    }

    /// Whether one more may wait.
    pub(crate) fn has_room(&self, mailbox: usize) -> Result<(), EnterError> {
        if self.is_gone() {
            return Err(EnterError::Gone);
        }
        if self.waiting.len() >= mailbox { Err(EnterError::Overloaded) } else { Ok(()) }
    }

    /// A turn, if nobody else has one or waits for one. The first turn of all is exclusive, whatever was asked for, so
    /// that it can load the state.
    pub(crate) fn enter(&mut self, entry: Entry) -> Option<Granted<S>> {
        let in_order = self.waiting.is_empty() || entry.reenter;
        let may_enter = match self.held {
            Held::Nobody => in_order,
            Held::Concurrent(_) => in_order && !entry.exclusive,
            Held::Exclusive | Held::Gone => false,
        };
        may_enter.then(|| self.take_turn(entry.exclusive))
    }

    /// Waits behind all who do. Only if it [`has_room`](Self::has_room) and [`is_taken`](Self::is_taken).
    pub(crate) fn wait(&mut self, exclusive: bool, wants: W) {
        self.waiting.push_back(Waiter { exclusive, wants });
    }

    /// Marks the turn as given out.
    fn take_turn(&mut self, exclusive: bool) -> Granted<S> {
        let exclusive = exclusive || self.state.is_none();
        let (held, state) = match (exclusive, self.held) {
            (true, _) => (Held::Exclusive, self.state.take()),
            (false, Held::Concurrent(n)) => (Held::Concurrent(n + 1), self.state.clone()),
            (false, _) => (Held::Concurrent(1), self.state.clone()),
        };
        self.held = held;
        (exclusive, state)
    }

    /// Somebody has taken the actor elsewhere, as an exclusive turn.
    pub(super) fn was_taken(&mut self) {
        self.held = Held::Exclusive;
    }

    /// Puts a state in that was elsewhere, while nobody has the actor.
    pub(super) fn put_in(&mut self, state: S) {
        self.state = Some(state);
    }

    /// Takes the state elsewhere, if nobody has the actor now.
    pub(super) fn take_out(&mut self) -> Option<S> {
        if self.is_idle() { self.state.take() } else { None }
    }

    /// Takes a finished turn back, with the state if it was exclusive; a concurrent turn has dropped its reference to it.
    /// What may run now is to be [granted](Self::grant). `Err` gives the state back: the activation has left memory.
    pub(super) fn take_back(&mut self, exclusive: bool, state: Option<S>) -> Result<(), Option<S>> {
        match self.held {
            Held::Exclusive if exclusive => {
                self.state = state;
                self.held = Held::Nobody;
            }
            Held::Concurrent(n) if n > 1 => self.held = Held::Concurrent(n - 1),
            Held::Concurrent(_) => self.held = Held::Nobody,
            _ => return Err(state),
        }
        Ok(())
    }

    /// There is nothing to grant, as is mostly known without a look at more.
    pub(super) fn nobody_has_waited(&self) -> bool {
        self.waiting.is_empty() && self.waiting.capacity() == 0
    }

    /// Gives out the turns that may run now.
    pub(super) fn grant(&mut self, mut grant: impl FnMut(W, Granted<S>)) {
        while let Some(first) = self.waiting.front() {
            let may_run = match self.held {
                Held::Nobody => true,
                Held::Concurrent(_) => !first.exclusive,
                Held::Exclusive | Held::Gone => false,
            };
            if !may_run {
                break;
            }
            if let Some(waiter) = self.waiting.pop_front()
                && !waiter.wants.has_left()
            {
                let granted = self.take_turn(waiter.exclusive);
                grant(waiter.wants, granted);
            }
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 8 {
            self.waiting = VecDeque::new();
        }
    }

    /// Who is granted the actor when the exclusive turn that runs now gives it back, if it is an exclusive one and `may` says
    /// that it may go on from there: it has the turn then.
    pub(super) fn next_in_line(&mut self, may: impl FnOnce(&W) -> bool) -> Option<W> {
        if self.held != Held::Exclusive {
            return None;
        }
        while self.waiting.pop_front_if(|first| first.wants.has_left()).is_some() {}
        let next = self.waiting.front().filter(|next| next.exclusive && may(&next.wants));
        next.is_some().then(|| self.waiting.pop_front())?.map(|next| next.wants)
    }

    /// Those who wait, in their order.
    pub(crate) fn waiters(&self) -> impl Iterator<Item = &W> {
        self.waiting.iter().map(|waiter| &waiter.wants)
    }

    /// Takes those out of the mailbox of whom this is true.
    pub(crate) fn take_out_waiters(&mut self, mut is_one: impl FnMut(&W) -> bool) -> Vec<W> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (out, stay): (VecDeque<_>, _) = waiting.partition(|waiter| is_one(&waiter.wants));
        self.waiting = stay;
        out.into_iter().map(|waiter| waiter.wants).collect()
    }

    /// The exclusive turn only reads from now on, and lets others read too.
    pub(crate) fn share(&mut self, state: Option<S>) {
        if self.held == Held::Exclusive {
            self.state = state;
            self.held = Held::Concurrent(1);
        }
    }

    /// Leaves memory, whoever has the actor; those who wait are for the caller to drop.
    #[must_use = "those who wait are told by being dropped"]
    pub(crate) fn leave_memory(&mut self) -> impl Drop + use<S, W> {
        self.held = Held::Gone;
        self.state = None;
        std::mem::take(&mut self.waiting)
    }

    /// The same unless somebody waits.
    pub(crate) fn leave_memory_if_unwanted(&mut self) {
        if self.waiting.iter().all(|waiter| waiter.wants.has_left()) {
            drop(self.leave_memory());
        }
    }
}
