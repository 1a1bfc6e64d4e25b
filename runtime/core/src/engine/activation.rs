//! The actor in memory, with its turn lock and its mailbox.
//!
//! The turn lock (see `turn_lock`) is first come, first served. The one exception: a concurrent turn may re-enter an
//! actor that its own call chain is reading, past waiting writers, since waiting for them would be a deadlock.
//!
//! The state sits in an `Arc` that the turn takes out of the turn lock. **Invariant**: an exclusive turn holds the only
//! reference (readers have given theirs back before it is granted), so it can borrow mutably without `unsafe`, and its
//! future owns what it works on.
//!
//! Between turns the state rests (see `rest`) where a turn that ends where it begins can take it without a lock. How the
//! two work together is in `turns`.
//!
//! A turn that was dropped in the middle leaves its [`TurnGuard`] behind, which rolls the state back.

mod guard;
mod rest;
mod turn_lock;
mod turns;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Core;
use super::handoff::{self, HandedOff};
use super::scratch::Scratch;
use super::state;
use super::types::{Dispatch, TypeTable};
use super::window::CallWindow;
use super::write_behind::Slot;
use crate::actor::{Actor, ActorMethods, Durability};
use crate::identity::{ActorId, Seq};
use crate::index::IndexRows;
use crate::shard::OwnedShard;
pub(crate) use guard::TurnGuard;
pub(crate) use turn_lock::{EnterError, Entry};
use turn_lock::{Granted, Waits};
use turns::Turns;

/// The state of an actor and what belongs to it. An exclusive turn borrows all of it, concurrent turns share it.
///
/// What every turn looks at comes first, here and in [`Activation`]: an actor that has not been called for a while is in
/// no cache, and each line of it costs a turn as much as all the rest.
#[repr(C)]
pub struct Loaded<A> {
    /// The newest record whose effect this state shows. Output waits for it.
    pub(crate) saw: Seq,
    /// The user's struct.
    pub(crate) state: A,
    /// `None` for types that are never stored.
    pub(crate) stored: Option<Box<Stored>>,
}

/// What is known of the stored form of a state. In a box: the states of types without one take less than half the memory.
pub(crate) struct Stored {
    /// The last good state, encoded: what a new state is compared with, and what a failed turn goes back to.
    pub(crate) saved: Bytes,
    /// The calls that were applied lately.
    pub(crate) window: CallWindow,
    /// What the last commit of this activation has left in the indexes.
    pub(crate) index: Option<IndexRows>,
    /// What relaxed turns have left to be written.
    pub(crate) slot: Option<Arc<Slot>>,
}

impl<A> Loaded<A> {
    /// The calls that were applied lately.
    pub(crate) fn window(&self) -> Option<&CallWindow> {
        Some(&self.stored.as_ref()?.window)
    }

    /// What relaxed turns have left to be written.
    pub(crate) fn slot(&self) -> Option<&Arc<Slot>> {
        self.stored.as_ref()?.slot.as_ref()
    }
}

/// The state, as turns take it and give it back.
pub type SharedState<A> = triomphe::Arc<Loaded<A>>;

/// The actor in memory on this node.
#[repr(C)]
pub(crate) struct Activation<A: Actor> {
    id: ActorId,
    table: Arc<TypeTable<A>>,
    shard: Arc<OwnedShard>,
    turns: Turns<SharedState<A>, Wants<A>, Kept<A>>,
    engine: Arc<Core>,
    activated_unix_ms: u64,
}

/// What is kept under the turn lock, beside turns.
struct Kept<A> {
    /// See [`idle_since`](Activation::idle_since).
    last_used: Instant,
    /// The newest record of a state that was lost, because it could not be rolled back: the journal must have it
    /// before the actor is loaded again.
    lost: Seq,
    /// Only types with hooks ever have something here.
    aside: Option<Box<Aside<A>>>,
    /// When those are looked for whose deadlines have passed while they waited; see `handoff`.
    next_sweep: Option<Instant>,
}

/// What the next turn, or who waits for one, must know.
enum Aside<A> {
    /// The state that a failed turn went back to: `#[on_activate]` runs before it is used.
    Kept(Loaded<A>),
    /// Why the actor could not be activated: for those who waited.
    Refused(String),
}

/// What becomes of the turn that a waiter gets.
enum Wants<A: Actor> {
    /// The waiter runs it.
    Turn(oneshot::Sender<TurnGuard<A>>),
    /// Whoever gives the actor back runs it.
    Run(Box<dyn HandedOff<A>>),
}

impl<A: Actor> Wants<A> {
    /// When it is to be told that it has waited too long; `None` if the waiter looks itself.
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Turn(_) => None,
            Self::Run(call) => Some(call.deadline()),
        }
    }
}

impl<A: Actor> Waits for Wants<A> {
    fn has_left(&self) -> bool {
        match self {
            Self::Turn(grant) => grant.is_closed(),
            Self::Run(call) => call.is_abandoned(),
        }
    }
}

impl<A: Actor> Activation<A> {
    pub(crate) fn new(
        id: ActorId,
        shard: Arc<OwnedShard>,
        table: Arc<TypeTable<A>>,
        engine: Arc<Core>,
    ) -> Self {
        table.counters().activated();
        let turns =
            Turns::new(Kept { last_used: engine.env().now(), lost: Seq(0), aside: None, next_sweep: None });
        let activated_unix_ms = engine.env().unix_ms();
        Self { id, table, shard, turns, engine, activated_unix_ms }
    }

    pub(crate) fn table(&self) -> &TypeTable<A> {
        &self.table
    }

    pub(crate) fn engine(&self) -> &Arc<Core> {
        &self.engine
    }

    /// How long there has been no turn, as far as is known: a turn that ends only leaves a mark (reading the clock costs
    /// as much as a short turn), and whoever asks here next takes that time for its end.
    fn idle_since(&self, kept: &mut Kept<A>, now: Instant) -> Duration {
        if self.turns.was_used() {
            kept.last_used = now;
        }
        now.saturating_duration_since(kept.last_used)
    }

    /// A turn, if nobody else has one or waits for one.
    pub(crate) fn enter_now(self: Arc<Self>, entry: Entry) -> Option<TurnGuard<A>> {
        let granted = self.turns.lock().turns.enter(entry);
        granted.map(|granted| TurnGuard::new(self, granted))
    }

    /// Waits for a turn. The first turn of all is exclusive, whatever was asked for, so that it can load the state.
    pub(crate) async fn enter(self: &Arc<Self>, entry: Entry) -> Result<TurnGuard<A>, EnterError> {
        let granted = {
            let mut cell = self.turns.lock();
            if let Some(granted) = cell.turns.enter(entry) {
                return Ok(TurnGuard::new(self.clone(), granted));
            }
            cell.turns.has_room(entry.mailbox)?;
            let (grant, granted) = oneshot::channel();
            cell.turns.wait(entry.exclusive, Wants::Turn(grant));
            granted
        };
        granted.await.map_err(|_| EnterError::Gone)
    }

    /// Puts a whole turn into the mailbox. `Err` gives the arguments back: nobody has the actor, so nobody would run it,
    /// or too many wait, or it has gone. True if nobody looks at the mailbox by this deadline yet: the caller must see to
    /// it that somebody does.
    pub(super) fn queue<T>(
        &self,
        exclusive: bool,
        mailbox: usize,
        deadline: Instant,
        arguments: T,
        make: impl FnOnce(T) -> Box<dyn HandedOff<A>>,
    ) -> Result<bool, T> {
        let mut cell = self.turns.lock();
        if !cell.turns.is_taken() || cell.turns.has_room(mailbox).is_err() {
            return Err(arguments);
        }
        cell.turns.wait(exclusive, Wants::Run(make(arguments)));
        let unseen = cell.kept.next_sweep.is_none_or(|next| deadline < next);
        if unseen {
            cell.kept.next_sweep = Some(deadline);
        }
        Ok(unseen)
    }

    /// The whole turn that is next in line, if the exclusive turn that ends now may pass the actor on to it.
    fn next_in_line(&self) -> Option<Box<dyn HandedOff<A>>> {
        match self.turns.peek().turns.next_in_line(|wants| matches!(wants, Wants::Run(_)))? {
            Wants::Run(call) => Some(call),
            Wants::Turn(_) => None,
        }
    }

    /// Takes the whole turns out of the mailbox whose deadlines have passed, and says when to look again. Nothing if
    /// somebody else looks: the look that was due at `due` was not the next any more.
    pub(super) fn sweep(&self, due: Instant) -> (Vec<Box<dyn HandedOff<A>>>, Option<Instant>) {
        let now = self.engine.env().now().max(due);
        let mut cell = self.turns.peek();
        if cell.kept.next_sweep != Some(due) {
            return (Vec::new(), None);
        }
        let late = cell.turns.take_out_waiters(|wants| wants.deadline().is_some_and(|ends| ends <= now));
        let next = cell.turns.waiters().filter_map(Wants::deadline).min();
        cell.kept.next_sweep = next;
        drop(cell);
        let calls = late.into_iter().filter_map(|wants| match wants {
            Wants::Run(call) => Some(call),
            Wants::Turn(_) => None,
        });
        (calls.collect(), next)
    }

    /// Whether a turn can be had without the lock, as far as is seen: false while calls wait.
    pub(super) fn rests(&self) -> bool {
        self.turns.rests()
    }

    /// A turn that ends before its caller does anything else, if nobody else has one or waits for one: what
    /// [`TurnGuard`] does when it is dropped is for the caller to do, by [`end`](Self::end).
    #[inline]
    pub(super) fn begin(&self, entry: Entry) -> Option<Granted<SharedState<A>>> {
        self.turns.begin(entry)
    }

    /// Why the actor could not be activated, if that is why this activation has gone.
    pub(crate) fn refusal(&self) -> Option<String> {
        match self.turns.peek().kept.aside.as_deref() {
            Some(Aside::Refused(reason)) => Some(reason.clone()),
            _ => None,
        }
    }

    /// The state waits for `#[on_activate]` to run again.
    fn keep_aside(&self, loaded: Option<SharedState<A>>) {
        if let Some(kept) = loaded.and_then(|loaded| SharedState::try_unwrap(loaded).ok()) {
            self.turns.peek().kept.aside = Some(Box::new(Aside::Kept(kept)));
        }
    }

    /// Ends a turn: puts the state back as it was if the turn has failed, and gives the actor to whoever waits for it.
    /// `own` makes a reference to this activation, if one is needed.
    #[inline]
    pub(super) fn end(&self, own: impl Fn() -> Arc<Self>, ended: Ended<A>) {
        let Ended { exclusive, mut loaded, failed, waking, before } = ended;
        if failed && let Some(changed) = loaded.take() {
            let (saw, slot) = (changed.saw, changed.slot().cloned());
            loaded = roll_back(changed, before);
            if loaded.is_none() {
                let written = slot.and_then(|slot| slot.write(&self.engine, &self.shard).ok());
                self.turns.peek().kept.lost = written.map_or(saw, |written| written.max(saw));
            }
            if waking || (self.table.wakes() && !A::OPTIONS.no_rollback) {
                self.keep_aside(loaded.take());
            }
        }
        if !exclusive {
            // The cell keeps its own reference; this one must be gone before a writer is let in.
            drop(loaded.take());
        }
        self.give_back(own, exclusive, loaded);
    }

    /// Gives a finished turn back, and its actor to whoever may run now.
    fn give_back(&self, own: impl Fn() -> Arc<Self>, exclusive: bool, loaded: Option<SharedState<A>>) {
        let guard = |wants, granted| (wants, TurnGuard::new(own(), granted));
        self.turns.give_back(exclusive, loaded, guard, |(wants, guard)| match wants {
            // A waiter that left in this moment gives the guard back, and its drop passes the turn on.
            Wants::Turn(grant) => drop(grant.send(guard)),
            Wants::Run(call) => handoff::hand_on(guard, call),
        });
    }
}

/// A turn at its end.
pub(super) struct Ended<A> {
    pub(super) exclusive: bool,
    /// What it worked on.
    pub(super) loaded: Option<SharedState<A>>,
    /// Its changes are to be undone.
    pub(super) failed: bool,
    /// `#[on_activate]` has not succeeded.
    pub(super) waking: bool,
    pub(super) before: Before<A>,
}

/// The state of a volatile type before a turn: what a failed one goes back to.
pub(super) enum Before<A> {
    /// The turn has changed nothing, or nothing is to be undone.
    Nothing,
    Copied(A),
    Encoded(Scratch),
}

/// The last good state; `None` if it cannot be read, and the next turn loads the actor anew.
fn roll_back<A: Actor>(mut loaded: SharedState<A>, before: Before<A>) -> Option<SharedState<A>> {
    if A::OPTIONS.no_rollback {
        return Some(loaded);
    }
    let inner = SharedState::get_mut(&mut loaded)?;
    inner.state = match before {
        _ if A::OPTIONS.durability != Durability::Volatile => {
            state::decode(&inner.stored.as_ref()?.saved).ok()?
        }
        Before::Encoded(before) => state::decode(&before).ok()?,
        Before::Copied(before) => before,
        Before::Nothing => return Some(loaded),
    };
    Some(loaded)
}

impl dyn AnyActivation {
    /// The same as an activation of this type; `None` if it is of another.
    pub(crate) fn typed<A: Actor>(&self) -> Option<&Activation<A>> {
        (self as &dyn Any).downcast_ref()
    }

    /// The same for an owned one.
    pub(crate) fn into_typed<A: Actor>(self: Arc<Self>) -> Option<Arc<Activation<A>>> {
        (self as Arc<dyn Any + Send + Sync>).downcast().ok()
    }
}

/// What the directory knows of an activation, whatever its type.
pub(crate) trait AnyActivation: Any + Send + Sync {
    fn id(&self) -> &ActorId;
    fn shard(&self) -> &Arc<OwnedShard>;
    fn engine(&self) -> &Arc<Core>;
    fn activated_unix_ms(&self) -> u64;
    /// Calls that wait for a turn.
    fn waiting(&self) -> usize;
    fn table(&self) -> &dyn Dispatch;
    /// How long nobody has called; `None` while a turn runs.
    fn idle_for(&self, now: Instant) -> Option<Duration>;
    /// Leaves memory if nobody has called for so long and every commit is durable.
    fn deactivate_if_idle(&self, now: Instant, at_least: Duration) -> bool;
    /// Leaves memory at once, because the shard has.
    fn abandon(&self);
    fn is_gone(&self) -> bool;
}

impl<A: ActorMethods> AnyActivation for Activation<A> {
    fn id(&self) -> &ActorId {
        &self.id
    }

    fn shard(&self) -> &Arc<OwnedShard> {
        &self.shard
    }

    fn engine(&self) -> &Arc<Core> {
        &self.engine
    }

    fn activated_unix_ms(&self) -> u64 {
        self.activated_unix_ms
    }

    fn waiting(&self) -> usize {
        self.turns.peek().turns.waiting()
    }

    fn table(&self) -> &dyn Dispatch {
        &*self.table
    }

    fn idle_for(&self, now: Instant) -> Option<Duration> {
        let mut cell = self.turns.lock();
        cell.turns.is_idle().then(|| self.idle_since(&mut cell.kept, now))
    }

    fn deactivate_if_idle(&self, now: Instant, at_least: Duration) -> bool {
        let mut cell = self.turns.lock();
        let idle = self.idle_since(&mut cell.kept, now) >= at_least;
        if !cell.turns.is_idle() || !idle {
            return false;
        }
        let saw = match (cell.turns.state(), cell.kept.aside.as_deref()) {
            (Some(loaded), _) => loaded.write_behind(&self.engine, &self.shard),
            (None, Some(Aside::Kept(kept))) => kept.write_behind(&self.engine, &self.shard),
            (None, _) => Ok(cell.kept.lost),
        };
        // What is not durable yet could not be loaded again.
        if self.shard.gate().committed().is_some_and(|committed| saw.map_or(true, |saw| committed < saw)) {
            return false;
        }
        cell.kept.aside = None;
        drop(cell.turns.leave_memory());
        true
    }

    fn abandon(&self) {
        let waiting = self.turns.lock().turns.leave_memory();
        drop(waiting);
    }

    fn is_gone(&self) -> bool {
        self.turns.peek().turns.is_gone()
    }
}

impl<A: Actor> Drop for Activation<A> {
    fn drop(&mut self) {
        self.table.counters().deactivated();
    }
}
