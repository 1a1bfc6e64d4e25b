//! An activation: its turn lock, the place where its state rests, and who gives it back, as `engine/activation.rs` and
//! `handoff.rs` use them.
//!
//! What must hold: each call runs once, no two exclusive turns run together, those who wait run in their order, nobody
//! waits while nobody has the actor, and the state is lost only by a turn that loses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loom::cell::Cell;
use loom::thread;

use crate::oneshot::{self, Receiver, Sender};
use crate::turn_lock::{EnterError, Entry, Granted, Waits};
use crate::turns::Turns;

/// How many calls there were. loom ends the model if a thread reads it, or writes it, that has not synchronised with
/// those who did before.
pub(crate) type Count = Cell<usize>;

/// What becomes of the turn that a waiter gets.
enum Wants {
    Turn(Sender<Guard>),
    /// The exclusive turn of this call.
    Run(usize),
}

impl Waits for Wants {
    fn has_left(&self) -> bool {
        match self {
            Self::Turn(grant) => grant.is_closed(),
            Self::Run(_) => false,
        }
    }
}

/// An activation. What is no lock here is there for the checks only: nobody synchronises by it.
pub(crate) struct Actor {
    turns: Turns<Arc<Count>, Wants, ()>,
    /// Where a state is loaded from, and each call is noted.
    journal: Arc<Count>,
    loads: AtomicUsize,
    losses: AtomicUsize,
    left: AtomicBool,
    /// Calls in the order in which they came into the mailbox, and in which those ran.
    queued: Calls,
    ran: Calls,
}

#[derive(Default)]
struct Calls(std::sync::Mutex<Vec<usize>>);

impl Calls {
    fn add(&self, call: usize) {
        self.0.lock().expect("a model ends with its first panic").push(call);
    }

    fn all(&self) -> Vec<usize> {
        self.0.lock().expect("a model ends with its first panic").clone()
    }
}

/// A turn that may run. Dropping it ends the turn.
pub(crate) struct Guard {
    actor: Arc<Actor>,
    exclusive: bool,
    state: Option<Arc<Count>>,
}

fn entry(exclusive: bool) -> Entry {
    Entry { exclusive, reenter: false, mailbox: 8 }
}

impl Actor {
    pub(crate) fn new(journal: Arc<Count>) -> Arc<Self> {
        Arc::new(Self {
            turns: Turns::new(()),
            journal,
            loads: AtomicUsize::new(0),
            losses: AtomicUsize::new(0),
            left: AtomicBool::new(false),
            queued: Calls::default(),
            ran: Calls::default(),
        })
    }

    /// One that has been called once, so that its state rests.
    pub(crate) fn idle(journal: Arc<Count>) -> Arc<Self> {
        let actor = Self::new(journal);
        actor.begin().expect("nobody else has it").run();
        actor
    }

    /// A turn, if nobody else has one or waits for one.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Guard> {
        let granted = self.turns.begin(entry(true));
        granted.map(|granted| Guard::new(self, granted))
    }

    /// A place in the mailbox, or a turn at once; `None` if the activation has left memory.
    fn enter(self: &Arc<Self>, exclusive: bool, call: usize) -> Option<Result<Guard, Receiver<Guard>>> {
        let mut cell = self.turns.lock();
        let waiting = cell.turns.waiting();
        if let Some(granted) = cell.turns.enter(entry(exclusive)) {
            assert_eq!(waiting, 0, "it overtakes who waits");
            drop(cell);
            return Some(Ok(Guard::new(self, granted)));
        }
        match cell.turns.has_room(8) {
            Ok(()) => {}
            Err(EnterError::Gone) => return None,
            Err(EnterError::Overloaded) => unreachable!("a model has few threads"),
        }
        let (grant, granted) = oneshot::channel();
        cell.turns.wait(exclusive, Wants::Turn(grant));
        self.queued.add(call);
        Some(Err(granted))
    }

    /// Waits for a turn; `None` if the activation has left memory.
    pub(crate) fn wait(self: &Arc<Self>, exclusive: bool, call: usize) -> Option<Guard> {
        match self.enter(exclusive, call)? {
            Ok(guard) => Some(guard),
            Err(granted) => {
                let guard = granted.receive().expect("nobody who waits is sent away");
                self.ran.add(call);
                Some(guard)
            }
        }
    }

    /// Leaves a call in the mailbox. False if nobody has the actor, or it has left memory.
    fn queue(&self, call: usize) -> bool {
        let mut cell = self.turns.lock();
        if !cell.turns.is_taken() || cell.turns.has_room(8).is_err() {
            return false;
        }
        cell.turns.wait(true, Wants::Run(call));
        self.queued.add(call);
        true
    }

    /// Whether no turn runs.
    fn is_idle(&self) -> bool {
        self.turns.lock().turns.is_idle()
    }

    /// Leaves memory if no turn runs.
    pub(crate) fn leave_if_idle(&self) -> bool {
        let mut cell = self.turns.lock();
        let idle = cell.turns.is_idle();
        if idle {
            self.left.store(true, Ordering::Relaxed);
            drop(cell.turns.leave_memory());
        }
        idle
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.turns.peek().turns.is_gone()
    }

    /// Nobody has it and nobody waits, and the state has seen so many calls.
    fn was_called(&self, calls: usize) {
        let cell = self.turns.lock();
        assert!(!cell.turns.is_taken(), "somebody waits, and nobody has the actor");
        assert_eq!(cell.turns.state().expect("a state that has not left").get(), calls);
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        assert_eq!(count(&self.loads), count(&self.losses) + 1, "the state was lost by nobody");
        let ran = self.ran.all();
        let queued: Vec<_> = self.queued.all().into_iter().filter(|call| ran.contains(call)).collect();
        assert_eq!(queued, ran, "first come, first served");
    }
}

impl Guard {
    fn new(actor: &Arc<Actor>, (exclusive, state): Granted<Arc<Count>>) -> Self {
        Self { actor: actor.clone(), exclusive, state }
    }

    fn load(&mut self) -> &mut Arc<Count> {
        assert!(!self.actor.left.load(Ordering::Relaxed), "the activation has left memory");
        self.state.get_or_insert_with(|| {
            self.actor.loads.fetch_add(1, Ordering::Relaxed);
            Arc::new(Count::new(self.actor.journal.get()))
        })
    }

    /// The exclusive turn of a call.
    pub(crate) fn run(&mut self) {
        let journal = self.actor.journal.clone();
        let state = Arc::get_mut(self.load()).expect("an exclusive turn is the only holder of the state");
        assert_eq!(state.get(), journal.get(), "a state that is not the newest");
        state.set(state.get() + 1);
        journal.set(journal.get() + 1);
    }

    /// A turn that only reads.
    fn read(&mut self) {
        if self.state.is_none() {
            // The first turn of all loads the state, and then lets others read too.
            let state = self.load().clone();
            self.exclusive = false;
            self.actor.turns.peek().turns.share(Some(state));
        }
        assert_eq!(self.load().get(), self.actor.journal.get(), "a state that is not the newest");
    }

    /// A turn whose state cannot be rolled back.
    fn lose(mut self) {
        if self.state.take().is_some() {
            self.actor.losses.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A turn that takes the state out of memory, and the activation with it unless somebody waits.
    pub(crate) fn retire(mut self) {
        self.state = None;
        let mut cell = self.actor.turns.peek();
        cell.turns.leave_memory_if_unwanted();
        self.actor.left.store(cell.turns.is_gone(), Ordering::Relaxed);
    }
}

/// As `Activation::end` and `give_back`.
impl Drop for Guard {
    fn drop(&mut self) {
        // A model that has failed has no locks any more.
        if std::thread::panicking() {
            return;
        }
        let mut state = self.state.take();
        if !self.exclusive {
            // The turn lock keeps its own reference; this one must be gone before a writer is let in.
            drop(state.take());
        }
        let guard = |wants, granted| (wants, Self::new(&self.actor, granted));
        self.actor.turns.give_back(self.exclusive, state, guard, |(wants, mut guard)| match wants {
            Wants::Turn(grant) => drop(grant.send(guard)),
            Wants::Run(call) => {
                let mut next = Some(Wants::Run(call));
                while let Some(Wants::Run(call)) = next {
                    guard.actor.ran.add(call);
                    guard.run();
                    let mut cell = guard.actor.turns.peek();
                    next = cell.turns.next_in_line(|wants| matches!(wants, Wants::Run(_)));
                }
            }
        });
    }
}

/// A call that runs at once if the actor is idle, and else is run by whoever gives it back.
fn call(actor: &Arc<Actor>, call: usize) {
    if let Some(mut guard) = actor.begin() {
        return guard.run();
    }
    if !actor.queue(call) {
        actor.wait(true, call).expect("it stays in memory").run();
    }
}

/// Runs both beside each other, and `here` beside them.
fn beside(actor: &Arc<Actor>, others: [fn(&Arc<Actor>); 2], here: fn(&Arc<Actor>)) {
    let threads = others.map(|other| {
        let actor = actor.clone();
        thread::spawn(move || other(&actor))
    });
    here(actor);
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
}

fn wait(actor: &Arc<Actor>) {
    actor.wait(true, 9).expect("it stays in memory").run();
}

/// Two calls that take the state where it rests if they can, and one that waits for its turn.
pub fn who_gives_back_runs_those_who_wait() {
    let actor = Actor::idle(Arc::default());
    beside(&actor, [|actor| call(actor, 1), wait], |actor| call(actor, 2));
    actor.was_called(4);
}

/// The same before the state was ever loaded.
pub fn one_of_the_first_callers_loads_the_state() {
    let actor = Actor::new(Arc::default());
    beside(&actor, [|actor| call(actor, 1), wait], |actor| call(actor, 2));
    actor.was_called(3);
}

/// A waiter that leaves, just before or just after it is granted its turn, takes nobody else's.
pub fn a_waiter_that_leaves_passes_its_turn_on() {
    let actor = Actor::idle(Arc::default());
    beside(&actor, [|actor| drop(actor.enter(true, 3)), wait], |actor| call(actor, 1));
    actor.was_called(3);
}

/// Somebody who only looks recalls the state again and again.
pub fn a_look_takes_the_state_from_nobody() {
    let actor = Actor::idle(Arc::default());
    let looks = |actor: &Arc<Actor>| {
        for _ in 0..2 {
            actor.is_idle();
        }
    };
    beside(&actor, [|actor| call(actor, 1), looks], |actor| {
        call(actor, 2);
        call(actor, 3);
    });
    actor.was_called(4);
}

/// A reader recalls the state, and reads it beside nobody who writes.
pub fn a_writer_has_the_actor_for_itself() {
    let actor = Actor::idle(Arc::default());
    let reads = |actor: &Arc<Actor>| actor.wait(false, 3).expect("it stays in memory").read();
    beside(&actor, [|actor| call(actor, 1), reads], reads);
    actor.was_called(2);
}

/// A turn takes the state where it rests and loses it: the next loads it again, and whoever waits is granted its turn.
pub fn a_turn_that_loses_the_state_gives_the_actor_back() {
    let actor = Actor::idle(Arc::default());
    actor.begin().expect("nobody else has it").lose();
    call(&actor, 1);
    actor.begin().expect("nobody else has it").run();
    actor.was_called(3);
    let loses = |actor: &Arc<Actor>| {
        if let Some(guard) = actor.begin() {
            guard.lose();
        }
    };
    beside(&actor, [loses, wait], |_| {});
    call(&actor, 2);
    actor.was_called(5);
}
