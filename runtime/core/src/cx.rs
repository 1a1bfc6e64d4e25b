//! The context of a turn: who is running, for which call, until when; and the way to call other actors.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::call::{CallContext, Chain, Frame};
use crate::engine::Outgoing;
use crate::identity::{ActorId, CallId, Seq};
use crate::reference::{ActorRef, Origin};
use crate::rows::RowChange;
use crate::shard::{Closed, OwnedShard};
use crate::transport::SharedTransport;

/// The context of a turn. A cheap clone, so that calls made with it can be joined.
#[derive(Clone)]
pub struct Cx(Arc<Inner>);

struct Inner {
    actor: ActorId,
    call: CallContext,
    exclusive: bool,
    commits: bool,
    transport: SharedTransport,
    /// How many calls this turn has made: each gets the next ordinal when it is made, not when it is first polled, so
    /// that a repeated turn gives the same calls the same ids.
    calls_made: AtomicU64,
    shard: Arc<OwnedShard>,
    /// The newest record whose effect the turn has seen.
    saw: AtomicU64,
    stage: AtomicU8,
    /// The rows that the turn has changed so far.
    rows: Mutex<Vec<RowChange>>,
    /// What the turn tells others once it has ended well. Most turns tell nothing.
    told: OnceLock<Mutex<Vec<Box<dyn Outgoing>>>>,
}

/// How far a turn has come, for whoever finds it interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing of it is in the journal.
    Running,
    /// Its record has been appended.
    Appended,
}

impl Cx {
    pub(crate) fn new(
        actor: ActorId,
        call: CallContext,
        exclusive: bool,
        commits: bool,
        transport: SharedTransport,
        shard: Arc<OwnedShard>,
    ) -> Self {
        let (calls_made, saw, stage) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU8::new(0));
        let rows = Mutex::default();
        Self(Arc::new(Inner {
            actor,
            call,
            exclusive,
            commits,
            transport,
            calls_made,
            shard,
            saw,
            stage,
            rows,
            told: OnceLock::new(),
        }))
    }

    /// The actor whose turn this is.
    pub fn actor_id(&self) -> &ActorId {
        &self.0.actor
    }

    /// The key of the actor whose turn this is.
    pub fn key(&self) -> &str {
        &self.0.actor.key
    }

    /// The id of the call that this turn answers.
    pub fn call_id(&self) -> CallId {
        self.0.call.id
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Instant {
        self.0.call.deadline
    }

    /// The calls that this turn's call is made from.
    pub fn chain(&self) -> &Chain {
        &self.0.call.chain
    }

    /// A reference to another actor. Its calls are part of this turn's chain and end at its deadline, but not part of
    /// its transaction: what they commit stays, even if this turn fails.
    pub fn actor<A: Actor>(&self, key: impl AsRef<str>) -> A::Ref {
        ActorRef::new(Origin::Turn(self.clone()), key.as_ref()).into()
    }

    /// Takes the actor out of memory when this turn and those that wait now are done, whether they fail or not. The next
    /// call activates it again.
    pub fn deactivate(&self) {
        if let Some(engine) = self.0.transport.engine().cloned() {
            let (actor, env) = (self.0.actor.clone(), engine.env().clone());
            env.spawn(Box::pin(async move {
                engine.deactivate(&actor).await;
            }));
        }
    }

    /// Keeps the actor in memory for so long from now, although nobody calls it. It still leaves when it is asked to, or
    /// when the node stops.
    pub fn keep_alive(&self, duration: Duration) {
        if let Some(engine) = self.0.transport.engine() {
            engine.keep_alive(&self.0.actor, engine.env().now() + duration);
        }
    }

    /// Waits until everything that this turn has seen is committed: what it says to others may then leave.
    pub(crate) async fn output_gate(&self) -> Result<(), Closed> {
        self.0.shard.gate().wait(Seq(self.0.saw.load(Ordering::Relaxed))).await
    }

    pub(crate) fn set_saw(&self, seq: Seq) {
        self.0.saw.store(seq.0, Ordering::Relaxed);
    }

    pub(crate) fn set_appended(&self, seq: Seq) {
        self.set_saw(seq);
        self.0.stage.store(1, Ordering::Relaxed);
    }

    pub(crate) fn stage(&self) -> Stage {
        if self.0.stage.load(Ordering::Relaxed) == 0 { Stage::Running } else { Stage::Appended }
    }

    /// Whether this turn can change rows: it must be an exclusive one of a durable type.
    pub(crate) fn commits(&self) -> bool {
        self.0.commits
    }

    /// Changes a row with this turn's commit, and not at all if the turn fails. The caller has checked
    /// [`commits`](Self::commits): for other turns the change would be lost.
    pub(crate) fn change_row(&self, row: RowChange) {
        debug_assert!(self.0.commits, "a turn that does not commit cannot change rows");
        self.0.rows.lock().push(row);
    }

    /// The changes so far, which are then the commit's.
    pub(crate) fn take_rows(&self) -> Vec<RowChange> {
        std::mem::take(&mut self.0.rows.lock())
    }

    /// Sends this when the turn has ended well and its output gate is open.
    pub(crate) fn send_at_end(&self, letter: Box<dyn Outgoing>) {
        self.0.told.get_or_init(Mutex::default).lock().push(letter);
    }

    /// What [`send_at_end`](Self::send_at_end) was given.
    pub(crate) fn take_told(&self) -> Vec<Box<dyn Outgoing>> {
        self.0.told.get().map(|told| std::mem::take(&mut *told.lock())).unwrap_or_default()
    }

    /// The newest record whose effect the turn has seen.
    pub(crate) fn saw(&self) -> Seq {
        Seq(self.0.saw.load(Ordering::Relaxed))
    }

    /// Waits until everything that this actor's earlier turns have told others has left, so that a call does not
    /// overtake it.
    pub(crate) async fn earlier_messages(&self) {
        let (post, saw) = (self.0.shard.post(), self.saw());
        if !post.has_left(saw) {
            post.when_left(saw).await;
        }
    }

    pub(crate) fn shard(&self) -> &Arc<OwnedShard> {
        &self.0.shard
    }

    pub(crate) fn transport(&self) -> &SharedTransport {
        &self.0.transport
    }

    /// The context of the next call that this turn makes.
    pub(crate) fn next_call(&self) -> CallContext {
        let ordinal = self.0.calls_made.fetch_add(1, Ordering::Relaxed);
        let frame =
            Frame { actor: self.0.actor.clone(), call_id: self.0.call.id, exclusive: self.0.exclusive };
        CallContext {
            id: self.0.call.id.child(ordinal),
            deadline: self.0.call.deadline,
            chain: self.0.call.chain.push(frame),
        }
    }
}
