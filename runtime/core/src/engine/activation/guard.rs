//! A turn that may run, and what it does at its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::handoff::HandedOff;
use super::super::scratch::Scratch;
use super::{Activation, Aside, Before, Ended, Granted, Loaded, SharedState};
use crate::actor::Actor;
use crate::identity::Seq;

/// A turn that may run. Dropping it ends the turn; if the state was being changed, it is rolled back first. A drain waits
/// for it.
pub(crate) struct TurnGuard<A: Actor> {
    activation: Arc<Activation<A>>,
    loaded: Option<SharedState<A>>,
    exclusive: bool,
    changing: bool,
    /// `#[on_activate]` has not succeeded yet.
    waking: bool,
    /// The actor has been given back: what remains of the turn is its output.
    left: bool,
    entered: usize,
    /// The state of a volatile type, encoded before the turn.
    before: Scratch,
}

impl<A: Actor> TurnGuard<A> {
    pub(super) fn new(activation: Arc<Activation<A>>, (exclusive, loaded): Granted<SharedState<A>>) -> Self {
        let entered = activation.engine.turns.enter();
        Self {
            activation,
            loaded,
            exclusive,
            changing: false,
            waking: false,
            left: false,
            entered,
            before: Scratch::default(),
        }
    }

    pub(crate) fn activation(&self) -> &Arc<Activation<A>> {
        &self.activation
    }

    /// The activation, and what the turn works on.
    pub(crate) fn parts(&mut self) -> (&Arc<Activation<A>>, Option<&mut SharedState<A>>) {
        (&self.activation, self.loaded.as_mut())
    }

    /// The newest record whose effect the turn has seen.
    pub(crate) fn saw(&self) -> Seq {
        self.loaded.as_ref().map_or(Seq(0), |loaded| loaded.saw)
    }

    /// What the turn works on; `None` if the state must be loaded first.
    pub(crate) fn loaded(&mut self) -> Option<&mut SharedState<A>> {
        self.loaded.as_mut()
    }

    /// The newest record that must be durable before the state is loaded.
    pub(crate) fn load_after(&self) -> Seq {
        self.activation.turns.peek().kept.lost
    }

    /// Puts the loaded state in. A turn that only wants to read then lets others read too.
    pub(crate) fn install(&mut self, loaded: Loaded<A>, exclusive: bool) {
        let loaded = SharedState::new(loaded);
        self.loaded = Some(loaded.clone());
        if !exclusive {
            self.exclusive = false;
            self.activation.turns.peek().turns.share(Some(loaded));
        }
    }

    /// The state that a failed turn went back to, if nobody has used it since.
    pub(crate) fn take_kept(&mut self) -> Option<Loaded<A>> {
        let kept = &mut self.activation.turns.peek().kept;
        match *kept.aside.take_if(|aside| matches!(**aside, Aside::Kept(_)))? {
            Aside::Kept(loaded) => Some(loaded),
            Aside::Refused(_) => None,
        }
    }

    /// Puts the loaded state in, for `#[on_activate]` to run first. Until [`awake`](Self::awake) nobody else sees it.
    pub(crate) fn install_asleep(&mut self, loaded: Loaded<A>) {
        self.loaded = Some(SharedState::new(loaded));
        (self.waking, self.changing) = (true, true);
    }

    /// `#[on_activate]` has succeeded. A turn that only wants to read then lets others read too.
    pub(crate) fn awake(&mut self, exclusive: bool) {
        (self.waking, self.changing) = (false, false);
        if !exclusive {
            self.exclusive = false;
            self.activation.turns.peek().turns.share(self.loaded.clone());
        }
    }

    /// How long nobody but this turn has used the actor.
    pub(crate) fn idle_for(&self, now: Instant) -> Duration {
        self.activation.idle_since(&mut self.activation.turns.peek().kept, now)
    }

    /// Takes the activation out of memory, together with those who wait: they are told why if a reason is given.
    /// Everything that the state saw must be durable.
    pub(crate) fn refuse(mut self, reason: &str) {
        self.forget_state();
        let mut cell = self.activation.turns.peek();
        if !cell.turns.is_gone() {
            cell.kept.aside = Some(Box::new(Aside::Refused(reason.into())));
        }
        let waiting = cell.turns.leave_memory();
        drop(cell);
        drop(waiting);
    }

    /// Takes the state out of memory, and the activation with it unless somebody waits: then the next turn loads the
    /// state again, and the order of those who wait stays. Everything that the state saw must be durable.
    pub(crate) fn retire(mut self) {
        self.forget_state();
        self.activation.turns.peek().turns.leave_memory_if_unwanted();
    }

    fn forget_state(&mut self) {
        (self.loaded, self.changing) = (None, false);
        self.activation.turns.peek().kept.aside = None;
    }

    /// From now until [`changed`](Self::changed) a drop of this guard rolls the state back.
    pub(crate) fn changing(&mut self) {
        self.changing = true;
    }

    /// The state, and where its encoded form before the turn belongs.
    pub(crate) fn before(&mut self) -> (Option<&A>, &mut Vec<u8>) {
        self.before = Scratch::take();
        (self.loaded.as_ref().map(|loaded| &loaded.state), &mut self.before)
    }

    /// The state is good as it is.
    pub(crate) fn changed(&mut self) {
        self.changing = false;
    }
}

impl<A: Actor> TurnGuard<A> {
    /// Gives the actor back to whoever waits for it.
    pub(crate) fn leave(&mut self) {
        let before = Before::Encoded(std::mem::take(&mut self.before));
        self.end(self.changing, before);
    }

    /// The same for a turn that has failed, with what its state goes back to.
    pub(in super::super) fn leave_undone(&mut self, before: Before<A>) {
        self.end(true, before);
    }

    /// Gives the actor back, unless a whole turn is next in line: that may go on with this guard.
    pub(in super::super) fn pass_on(&mut self) -> Option<Box<dyn HandedOff<A>>> {
        let next = if self.exclusive { self.activation.next_in_line() } else { None };
        if next.is_none() {
            self.leave();
        }
        next
    }

    fn end(&mut self, failed: bool, before: Before<A>) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let ended = Ended {
            exclusive: self.exclusive,
            loaded: self.loaded.take(),
            failed,
            waking: self.waking,
            before,
        };
        self.activation.end(|| self.activation.clone(), ended);
    }
}

impl<A: Actor> Drop for TurnGuard<A> {
    fn drop(&mut self) {
        self.leave();
        self.activation.engine.turns.leave(self.entered);
    }
}
