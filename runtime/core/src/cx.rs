//! The context of a turn: who is running, for which call, until when; and the way to call other actors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::call::{CallContext, Chain, Frame};
use crate::engine::{AnyActivation, Core, Outgoing};
use crate::identity::{ActorId, CallId, Seq};
use crate::journal::CallRecord;
use crate::reference::{ActorRef, Origin};
use crate::request::RequestContext;
use crate::rows::{RowChange, Space};
use crate::shard::{Closed, OwnedShard};

/// The context of a turn. A cheap clone, so that calls made with it can be joined.
///
/// It is `None` for methods that do not take it: nobody can ask such a one anything.
#[derive(Clone)]
pub struct Cx(Option<Arc<Inner>>);

struct Inner {
    activation: Arc<dyn AnyActivation>,
    call: CallContext,
    exclusive: bool,
    commits: bool,
    /// How many calls this turn has made: each gets the next ordinal when it is made, not when it is first polled, so
    /// that a repeated turn gives the same calls the same ids.
    calls_made: AtomicU64,
    /// The newest record whose effect the turn has seen.
    saw: AtomicU64,
    /// The rows that the turn has changed so far.
    rows: Mutex<Vec<RowChange>>,
    rare: OnceLock<Box<Rare>>,
}

/// What most turns have no use for.
#[derive(Default)]
struct Rare {
    /// What the turn tells others once it has ended well.
    told: Mutex<Vec<Box<dyn Outgoing>>>,
    /// The turn has waited for a call that did not end at once.
    waited: AtomicBool,
    /// The method has returned, or was dropped, and has left clones of the context behind.
    ended: AtomicBool,
    /// The turn that has lent its state to this one.
    outer: OnceLock<Cx>,
    /// The turns that this one has lent its state to, and that have ended well.
    visited: Mutex<Vec<CallRecord>>,
}

/// See [`Cx::ends`].
pub(crate) struct Ends<'a> {
    cx: &'a Cx,
    well: bool,
}

impl Ends<'_> {
    /// The method has ended well: what it has told is to leave.
    pub(crate) fn well(&mut self) {
        self.well = true;
    }
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if !self.well {
            // What was told holds the context that holds it: somebody must let go.
            drop(self.cx.take_told());
        }
        // Nobody else has it: then nobody makes calls with it any more.
        if let Some(inner) = &self.cx.0
            && Arc::strong_count(inner) > 1
        {
            let rare = inner.rare();
            rare.ended.store(true, Ordering::SeqCst);
            if rare.waited.load(Ordering::SeqCst) {
                self.cx.engine().holds_no_more(self.cx);
            }
        }
    }
}

impl Inner {
    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }
}

impl Cx {
    /// What methods get that take no context.
    pub(crate) const NONE: Self = Self(None);

    /// The context of a turn of an exclusive or a concurrent method, one that may commit or one that may not.
    pub(crate) fn new(
        activation: Arc<dyn AnyActivation>,
        call: CallContext,
        exclusive: bool,
        commits: bool,
        saw: Seq,
    ) -> Self {
        Self(Some(Arc::new(Inner {
            activation,
            call,
            exclusive,
            commits,
            calls_made: AtomicU64::new(0),
            saw: AtomicU64::new(saw.0),
            rows: Mutex::default(),
            rare: OnceLock::new(),
        })))
    }

    fn inner(&self) -> &Inner {
        self.0.as_ref().expect("a method that takes a context gets one")
    }

    /// The actor whose turn this is.
    pub fn actor_id(&self) -> &ActorId {
        self.inner().activation.id()
    }

    /// The key of the actor whose turn this is.
    pub fn key(&self) -> &str {
        &self.actor_id().key
    }

    /// The id of the call that this turn answers.
    pub fn call_id(&self) -> CallId {
        self.inner().call.id
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Instant {
        self.inner().call.deadline
    }

    /// The calls that this turn's call is made from.
    pub fn chain(&self) -> &Chain {
        &self.inner().call.chain
    }

    /// A value of the request context, which a caller has set and every call made from its call carries.
    pub fn request(&self, name: &str) -> Option<&str> {
        self.inner().call.request.get(name)
    }

    /// A reference to another actor. Its calls are part of this turn's chain and end at its deadline, but not part of
    /// its transaction: what they commit stays, even if this turn fails.
    pub fn actor<A: Actor>(&self, key: impl AsRef<str>) -> A::Ref {
        ActorRef::new(Origin::Turn(self.clone()), key.as_ref()).into()
    }

    /// Takes the actor out of memory when this turn and those that wait now are done, whether they fail or not. The next
    /// call activates it again.
    pub fn deactivate(&self) {
        let (actor, engine) = (self.actor_id().clone(), self.engine().clone());
        let env = engine.env().clone();
        env.spawn(Box::pin(async move {
            engine.deactivate(&actor).await;
        }));
    }

    /// Keeps the actor in memory for so long from now, although nobody calls it. It still leaves when it is asked to, or
    /// when the node stops.
    pub fn keep_alive(&self, duration: Duration) {
        let engine = self.engine();
        engine.keep_alive(self.actor_id(), engine.env().now() + duration);
    }

    /// Whether everything that this turn has seen is committed, and what earlier turns told has left: what it says to
    /// others may then leave.
    pub(crate) fn may_speak(&self) -> bool {
        let (shard, saw) = (self.shard(), self.saw());
        shard.gate().committed().is_some_and(|committed| committed >= saw) && shard.post().has_left(saw)
    }

    /// Waits until everything that this turn has seen is committed.
    pub(crate) async fn output_gate(&self) -> Result<(), Closed> {
        self.shard().gate().wait(self.saw()).await
    }

    /// The newest record whose effect the turn has seen.
    pub(crate) fn saw(&self) -> Seq {
        Seq(self.inner().saw.load(Ordering::Relaxed))
    }

    pub(crate) fn set_saw(&self, seq: Seq) {
        self.inner().saw.store(seq.0, Ordering::Relaxed);
    }

    /// Whether this turn can change rows: it must be an exclusive one of a durable type.
    pub(crate) fn commits(&self) -> bool {
        self.inner().commits
    }

    /// Changes a row with this turn's commit, and not at all if the turn fails. The caller has checked
    /// [`commits`](Self::commits): for other turns the change would be lost.
    pub(crate) fn change_row(&self, row: RowChange) {
        debug_assert!(self.inner().commits, "a turn that does not commit cannot change rows");
        self.inner().rows.lock().push(row);
    }

    /// The changes so far, which are then the commit's.
    pub(crate) fn take_rows(&self) -> Vec<RowChange> {
        std::mem::take(&mut self.inner().rows.lock())
    }

    /// The changes of one space so far, with those of the turns around this one.
    pub(crate) fn changed_rows(&self, space: Space) -> Vec<RowChange> {
        let mut rows = self.outer().map(|outer| outer.changed_rows(space)).unwrap_or_default();
        rows.extend(self.inner().rows.lock().iter().filter(|row| row.space == space).cloned());
        rows
    }

    /// Sends this when the turn has ended well and its output gate is open.
    pub(crate) fn send_at_end(&self, letter: Box<dyn Outgoing>) {
        self.inner().rare().told.lock().push(letter);
    }

    /// What [`send_at_end`](Self::send_at_end) was given.
    pub(crate) fn take_told(&self) -> Vec<Box<dyn Outgoing>> {
        let rare = self.0.as_ref().and_then(|inner| inner.rare.get());
        rare.map(|rare| std::mem::take(&mut *rare.told.lock())).unwrap_or_default()
    }

    /// Whether this is the context of an exclusive turn.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.inner().exclusive
    }

    /// The context of a turn that runs on the state that this one has lent.
    pub(crate) fn inside(&self, call: CallContext, exclusive: bool) -> Self {
        let commits = exclusive && self.commits();
        let inside = Self::new(self.activation().clone(), call, exclusive, commits, self.saw());
        let _new = inside.inner().rare().outer.set(self.clone());
        inside
    }

    /// Takes over what a turn has done that ran on the lent state and has ended well.
    pub(crate) fn adopt(&self, inside: &Self, record: Option<CallRecord>) {
        self.inner().rows.lock().append(&mut inside.take_rows());
        self.inner().rare().told.lock().append(&mut inside.take_told());
        self.inner().rare().visited.lock().extend(record);
        let inner = inside.inner().rare().visited.lock().split_off(0);
        self.inner().rare().visited.lock().extend(inner);
    }

    /// The call with this id, if it has run inside this turn.
    pub(crate) fn visited(&self, call: CallId) -> Option<CallRecord> {
        let visited = self.inner().rare.get()?.visited.lock();
        visited.iter().find(|record| record.id == call).cloned()
    }

    fn outer(&self) -> Option<&Self> {
        self.inner().rare.get()?.outer.get()
    }

    /// The call whose turn commits what this turn changes: its own, or the one around it.
    pub(crate) fn transaction(&self) -> CallId {
        self.outer().map_or(self.inner().call.id, Self::transaction)
    }

    /// The method runs until this is dropped. What clones of the context do after that, on tasks of their own, keeps
    /// nobody waiting for the actor. What it has told is forgotten unless it has ended [well](Ends::well).
    pub(crate) fn ends(&self) -> Ends<'_> {
        Ends { cx: self, well: false }
    }

    /// The turn waits for a call. Of this and the turn's end the second one sees the other: see [`Awaited`](crate::engine::Awaited).
    pub(crate) fn waits(&self) {
        self.inner().rare().waited.store(true, Ordering::SeqCst);
    }

    /// Whether the method has returned and left this context behind.
    pub(crate) fn has_ended(&self) -> bool {
        self.inner().rare.get().is_some_and(|rare| rare.ended.load(Ordering::SeqCst))
    }

    /// Waits until everything that this actor's earlier turns have told others has left, so that a call does not
    /// overtake it.
    pub(crate) async fn earlier_messages(&self) {
        let (post, saw) = (self.shard().post(), self.saw());
        if !post.has_left(saw) {
            post.when_left(saw).await;
        }
    }

    pub(crate) fn activation(&self) -> &Arc<dyn AnyActivation> {
        &self.inner().activation
    }

    pub(crate) fn shard(&self) -> &Arc<OwnedShard> {
        self.inner().activation.shard()
    }

    pub(crate) fn engine(&self) -> &Arc<Core> {
        self.inner().activation.engine()
    }

    /// What calls of this turn carry.
    pub(crate) fn request_context(&self) -> RequestContext {
        self.inner().call.request.passed_on()
    }

    /// The place of the next call that this turn makes among its calls.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.inner().calls_made.fetch_add(1, Ordering::Relaxed)
    }

    /// An id that is this turn's next one: the same again if the turn is repeated.
    pub(crate) fn next_call_id(&self) -> CallId {
        self.inner().call.id.child(self.next_ordinal())
    }

    /// The context of the call with this place, for which the turn has this `window` open.
    pub(crate) fn context_of_call(&self, ordinal: u64, window: Option<u64>) -> CallContext {
        let Inner { call, exclusive, .. } = self.inner();
        let actor = self.actor_id().clone();
        let frame = Frame { actor, call_id: call.id, exclusive: *exclusive, window };
        CallContext {
            id: call.id.child(ordinal),
            deadline: call.deadline,
            chain: call.chain.push(frame),
            request: call.request.passed_on(),
        }
    }
}
