//! Turns inside a turn: an exclusive turn lends its state to the calls of its own chain that come back to its actor.
//!
//! `cx.reentrant(self, call)` opens a *window* for as long as that call runs. A call that comes back meanwhile, whose
//! innermost frame at this actor is the lending turn with this window, and whose method is `#[method(reentrant)]`, is a
//! *visit*: it runs on the state that was lent, one visit after the other, polled by the lending turn itself. What an
//! earlier window's call has left behind (a request that the network repeated, a callee that nobody waits for any more)
//! finds its window closed.
//!
//! - **What a visit changes is part of the lending turn**: the state, its rows and what it tells others are handed to
//!   that turn when the visit ends well, and are committed with it or not at all.
//! - A visit that fails, panics, or whose caller has gone leaves nothing: a copy of the state, made before, takes the
//!   place of what it did. (A type without rollback keeps what it did, as ever.)
//! - A visit that is repeated gets its first reply, as long as the lending turn lasts. After that no call of this chain
//!   can come back: its chain holds a turn that is over.
//! - A lending turn that is dropped drops its visits with it.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use foldhash::fast::FixedState;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use tracing::Instrument;

use super::Core;
use super::turn::{self, Answer, CallForm};
use crate::actor::{Access, Actor, Method};
use crate::call::{CallContext, Chain};
use crate::codec::Payload;
use crate::cx::Cx;
use crate::error::CallError;
use crate::filter::Way;
use crate::identity::{ActorId, CallId, Epoch, Seq};
use crate::journal::CallRecord;
use crate::reference::MOVED_AWAY;
use crate::shard::OwnedShard;

/// A turn that is to run on a lent state. It answers its caller by itself.
pub(crate) type Visit<A> = Box<dyn for<'a> FnOnce(&'a mut A, &'a Cx) -> BoxFuture<'a, ()> + Send>;

/// What a visit answered, and the newest record whose effect it has seen.
type Report<M> = (Seq, Result<Answer<M>, CallError<<M as Method>::Error>>);

/// Why a visitor gets no answer.
const CLOSED: &str = "the turn that had lent its actor has gone on; nothing of this call remains";

/// The open windows of a node, by the call that the lending turn answers. When a shard moves away and comes back, that call
/// may be repeated while its first turn, which can do nothing more, has not ended yet: then the window is the later one's.
#[derive(Default)]
pub(super) struct Windows {
    open: Mutex<HashMap<CallId, Door, FixedState>>,
}

struct Door {
    actor: ActorId,
    epoch: Epoch,
    /// The place of the call for which it is open, among those of the turn.
    number: u64,
    /// A sender of the actor's `Visit`s.
    visits: Box<dyn Any + Send>,
}

/// An open window. Dropping it closes it, and sends away who waits before it.
pub(crate) struct Window<A> {
    turn: Cx,
    visits: mpsc::Receiver<Visit<A>>,
}

impl<A: Actor> Window<A> {
    /// Opens the window of a turn for its call with this place. `Invalid` if it has one; `Unavailable` if the turn has been
    /// repeated behind a move, and that one has.
    pub(crate) fn open<E>(turn: &Cx, number: u64) -> Result<Self, CallError<E>> {
        let (door, visits) = mpsc::channel::<Visit<A>>(A::OPTIONS.mailbox);
        let (actor, epoch) = (turn.actor_id().clone(), turn.shard().epoch());
        let door = Door { actor, epoch, number, visits: Box::new(door) };
        let mut open = turn.engine().windows.open.lock();
        match open.get(&turn.call_id()).map(|other| other.epoch.cmp(&epoch)) {
            Some(Ordering::Greater) => return Err(CallError::Unavailable(MOVED_AWAY.into())),
            Some(Ordering::Equal) => {
                let message = "lends its state already; make one call after the other";
                return Err(CallError::Invalid(format!("this turn of {} {message}", turn.actor_id())));
            }
            Some(Ordering::Less) | None => {}
        }
        open.insert(turn.call_id(), door);
        Ok(Self { turn: turn.clone(), visits })
    }

    /// The next one who comes.
    pub(crate) async fn next(&mut self) -> Option<Visit<A>> {
        self.visits.recv().await
    }
}

impl<A> Drop for Window<A> {
    fn drop(&mut self) {
        let mut open = self.turn.engine().windows.open.lock();
        let (call, epoch) = (self.turn.call_id(), self.turn.shard().epoch());
        if open.get(&call).is_some_and(|door| door.epoch == epoch) {
            open.remove(&call);
        }
    }
}

impl Windows {
    /// The window that a call of this chain may come in by.
    fn door<A: Actor>(&self, chain: &Chain, target: &ActorId) -> Option<mpsc::Sender<Visit<A>>> {
        let innermost = chain.frames().find(|frame| frame.actor == *target)?;
        let open = self.open.lock();
        let door = open.get(&innermost.call_id)?;
        (door.actor == *target && innermost.window == Some(door.number)).then_some(())?;
        door.visits.downcast_ref().cloned()
    }
}

/// Runs a call whose chain holds its actor: in the window of the turn that does, or not at all.
pub(super) async fn visit<M: Method>(
    engine: &Arc<Core>,
    shard: &Arc<OwnedShard>,
    target: ActorId,
    mut context: CallContext,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<Answer<M>, CallError<M::Error>> {
    let Some(door) = engine.windows.door::<M::Actor>(&context.chain, &target) else {
        return Err(CallError::Deadlock { path: context.chain.cycle(&target, M::Access::EXCLUSIVE) });
    };
    let around = engine.around::<M>(&target, Way::Call, &mut context)?;
    let (deadline, span) = (context.deadline, around.span().clone());
    let (report, reported) = oneshot::channel();
    let visit: Visit<M::Actor> = Box::new(move |state, outer| {
        inside::<M>(state, outer, context, arguments, form, report).instrument(span).boxed()
    });
    let outcome = match door.try_send(visit) {
        Err(mpsc::error::TrySendError::Full(_)) => Err(turn::mailbox_is_full::<M>(&target)),
        Err(mpsc::error::TrySendError::Closed(_)) => Err(CallError::Refused(CLOSED.into())),
        Ok(()) => match timeout_at(deadline, reported).await {
            Ok(Ok((saw, answer))) => match shard.gate().wait(saw).await {
                Ok(()) => answer,
                Err(_) => Err(CallError::Unavailable(MOVED_AWAY.into())),
            },
            Ok(Err(_)) => Err(CallError::Refused(CLOSED.into())),
            // Whether it remains is the lending turn's matter.
            Err(_) => Err(CallError::Timeout { committed: None }),
        },
    };
    let outcome = engine.answered::<M, _>(outcome);
    around.ended(&outcome);
    outcome
}

/// Runs a visit on the lent state, unless its caller goes.
async fn inside<M: Method>(
    state: &mut M::Actor,
    outer: &Cx,
    context: CallContext,
    arguments: M::Arguments,
    form: CallForm,
    mut report: oneshot::Sender<Report<M>>,
) {
    let cx = outer.inside(context, M::Access::EXCLUSIVE);
    let answer = tokio::select! {
        biased;
        answer = turn_inside::<M>(state, outer, &cx, arguments, form) => answer,
        () = report.closed() => return,
    };
    // Its caller may have gone in this moment.
    let _ = report.send((outer.saw(), answer));
}

async fn turn_inside<M: Method>(
    state: &mut M::Actor,
    outer: &Cx,
    cx: &Cx,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<Answer<M>, CallError<M::Error>> {
    if let Some(first) = outer.visited(cx.call_id()) {
        return match first.method == M::NAME && first.arguments_hash == form.arguments_hash {
            true => Ok(Answer::Stored(first.reply)),
            false => Err(turn::used_before(cx, &first.method)),
        };
    }
    let savepoint = Savepoint::new::<M>(state)?;
    let mut ends = cx.ends();
    let body = M::run(M::Access::lend(savepoint.state), cx, arguments);
    let ended = AssertUnwindSafe(body).catch_unwind().await;
    let reply = match ended {
        Ok(reply) => reply.map_err(CallError::App)?,
        Err(panic) => return Err(cx.engine().body_panicked::<M>(cx.actor_id(), &*panic)),
    };
    let record = match cx.commits() {
        false => None,
        true => Some(CallRecord {
            id: cx.call_id(),
            method: SmolStr::new_static(M::NAME),
            arguments_hash: form.arguments_hash,
            reply: Payload::encode(form.reply_type, "the reply", &reply)?,
            at_unix_ms: cx.engine().env.unix_ms(),
        }),
    };
    savepoint.keep();
    ends.well();
    outer.adopt(cx, record);
    Ok(Answer::Fresh(reply))
}

/// The lent state, which goes back to what it was when this is dropped.
struct Savepoint<'a, A> {
    state: &'a mut A,
    before: Option<A>,
}

impl<'a, A: Actor> Savepoint<'a, A> {
    fn new<M: Method<Actor = A>>(state: &'a mut A) -> Result<Self, CallError<M::Error>> {
        let before = match M::Access::EXCLUSIVE && !A::OPTIONS.no_rollback {
            true => Some(turn::copy_of::<A, _>(state)?),
            false => None,
        };
        Ok(Self { state, before })
    }
}

impl<A> Savepoint<'_, A> {
    fn keep(mut self) {
        self.before = None;
    }
}

impl<A> Drop for Savepoint<'_, A> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            *self.state = before;
        }
    }
}
