//! Calls that wait in a mailbox and are run by whoever gives the actor back.
//!
//! A call of a method that cannot wait (see `immediate`) leaves its whole turn in the mailbox: no task of its own, and
//! its caller is woken once, by the reply. The turn that ends before it runs it at its own end, and so on, in a loop and
//! not in a recursion. If the next in line is such a turn, too, it gets the actor from hand to hand; what else a turn
//! hands on while its thread runs such turns, of this actor or another, is put behind and run when they have ended. After
//! [`IN_A_ROW`] of them, or if turns of the type are long, the rest goes on in a task: a caller is not kept from its own
//! work by others for long.
//!
//! Nor has such a call a timer of its own. A mailbox is looked at when the first of its deadlines comes, and whose
//! deadline has passed is told so: as long as nearly all are served in time, that is once in the time that callers wait.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::activation::{Activation, Before, TurnGuard};
use super::directory::Found;
use super::drain::Running;
use super::immediate::keep;
use super::inline::{self, Measured, Nested};
use super::{AnyActivation, Core, post, turn};
use crate::actor::{Access, Actor, ActorMethods, Method};
use crate::call::CallContext;
use crate::cx::Cx;
use crate::env::SharedEnv;
use crate::error::CallError;
use crate::identity::Seq;
use crate::reference::MOVED_AWAY;
use crate::shard::{Closed, OwnedShard};

/// How many turns a thread runs for others before it goes on with its own work.
const IN_A_ROW: usize = 32;

/// What waits for an actor in order to run a whole turn.
pub(super) trait HandedOff<A: Actor>: Send {
    /// Nobody waits for the reply any more.
    fn is_abandoned(&self) -> bool;
    /// Until when its caller waits.
    fn deadline(&self) -> Instant;
    /// Tells the caller that it has waited until its deadline.
    fn is_late(self: Box<Self>, engine: &Core);
    /// Runs the turn. Does not wait for anything. Gives the turn that is next in line, if that goes on with the actor.
    fn run(self: Box<Self>, guard: TurnGuard<A>) -> Option<InLine<A>>;
}

/// A turn, and the actor for it.
type InLine<A> = (Box<dyn HandedOff<A>>, TurnGuard<A>);

/// What comes back to the caller.
pub(crate) enum Handed<M: Method> {
    /// The turn has run.
    Done(Result<M::Reply, CallError<M::Error>>),
    /// The actor has left, or must be loaded first: the call must go the long way.
    NotNow(M::Arguments),
}

/// A reply that is on its way; it comes when the call's deadline has passed at the latest. Dropping this takes the call
/// out of the mailbox.
pub(crate) struct Waiting<M: Method>(oneshot::Receiver<Handed<M>>);

impl<M: Method> Waiting<M> {
    pub(crate) fn poll(&mut self, task: &mut Context<'_>) -> Poll<Handed<M>> {
        let gone = |_| Handed::Done(Err(CallError::Unavailable(MOVED_AWAY.into())));
        Pin::new(&mut self.0).poll(task).map(|handed| handed.unwrap_or_else(gone))
    }
}

/// A call in a mailbox. If it leaves it without a turn, because the actor does, its caller tries again.
struct Call<M: Method>(Option<Waits<M>>);

struct Waits<M: Method> {
    context: CallContext,
    arguments: M::Arguments,
    answer: Answer<M>,
}

type Answer<M> = oneshot::Sender<Handed<M>>;
type Outcome<M> = Result<<M as Method>::Reply, CallError<<M as Method>::Error>>;

impl<M: Method> Drop for Call<M> {
    fn drop(&mut self) {
        if let Some(Waits { arguments, answer, .. }) = self.0.take() {
            // The caller may have gone.
            let _ = answer.send(Handed::NotNow(arguments));
        }
    }
}

impl<M: Method> HandedOff<M::Actor> for Call<M> {
    fn is_abandoned(&self) -> bool {
        self.0.as_ref().is_none_or(|waits| waits.answer.is_closed())
    }

    fn deadline(&self) -> Instant {
        self.0.as_ref().expect("it has not run").context.deadline
    }

    fn is_late(mut self: Box<Self>, engine: &Core) {
        if let Some(Waits { answer, .. }) = self.0.take()
            && !answer.is_closed()
        {
            reply::<M>(engine, answer, Err(CallError::Timeout { committed: Some(false) }));
        }
    }

    fn run(mut self: Box<Self>, mut guard: TurnGuard<M::Actor>) -> Option<InLine<M::Actor>> {
        if guard.loaded().is_none() {
            match turn::made_new() {
                Some(new) if !guard.activation().table().wakes() => guard.install(new, M::Access::EXCLUSIVE),
                _ => return None,
            }
        }
        let Waits { context, arguments, answer } = self.0.take()?;
        if guard.activation().engine().is_draining() {
            let error = CallError::Unavailable(turn::DRAINING.into());
            reply::<M>(guard.activation().engine(), answer, Err(error));
            return None;
        }
        let (saw, deadline) = (guard.saw(), context.deadline);
        let cx = turn::cx::<M>(&guard, || context);
        let (outcome, failed) = run_here::<M>(&mut guard, &cx, arguments);
        let told = outcome.is_ok() && post::put(&cx);
        let next = match failed {
            Some(before) => {
                guard.leave_undone(before);
                None
            }
            None if told => {
                // What it has told leaves when the actor has been given back.
                guard.leave();
                None
            }
            None => guard.pass_on(),
        };
        let (engine, shard) = (guard.activation().engine(), guard.activation().shard());
        if told {
            post::send(engine, shard);
        }
        if shard.gate().committed().is_some_and(|committed| committed >= saw) {
            reply::<M>(engine, answer, outcome);
        } else {
            let running = Running::new(engine.clone());
            engine.env.spawn(Box::pin(let_out::<M>(running, shard.clone(), saw, deadline, answer, outcome)));
        }
        next.map(|next| (next, guard))
    }
}

/// Runs the method on the state that the guard has. If the turn has failed: what the state goes back to.
fn run_here<M: Method>(
    guard: &mut TurnGuard<M::Actor>,
    cx: &Cx,
    arguments: M::Arguments,
) -> (Outcome<M>, Option<Before<M::Actor>>) {
    let (activation, loaded) = guard.parts();
    let (engine, id, pace) = (activation.engine(), activation.id(), activation.table().pace());
    let loaded = loaded.expect("what is run has been loaded");
    let sampled = inline::sample();
    if sampled {
        engine.sampled(id);
    }
    let _nested = Nested::enter();
    let _measured = sampled.then(|| Measured::begin(pace));
    let _in_span = turn::in_span::<M>(id);
    match keep::<M>(&loaded.state) {
        Ok(before) => {
            let outcome = engine.run_body::<M>(id, loaded, cx, arguments);
            let failed = M::Access::EXCLUSIVE && outcome.is_err();
            (outcome, failed.then_some(before))
        }
        Err(error) => (Err(error), None),
    }
}

fn reply<M: Method>(engine: &Core, answer: Answer<M>, outcome: Outcome<M>) {
    // The caller may have gone.
    let _ = answer.send(Handed::Done(engine.answered::<M, _>(outcome)));
}

/// Replies when what the turn saw is committed: the method has ended, and the actor has gone on.
async fn let_out<M: Method>(
    running: Running,
    shard: Arc<OwnedShard>,
    saw: Seq,
    deadline: Instant,
    answer: Answer<M>,
    outcome: Outcome<M>,
) {
    let outcome = match tokio::time::timeout_at(deadline, shard.gate().wait(saw)).await {
        Ok(Ok(())) => outcome,
        Ok(Err(Closed)) => Err(CallError::Unavailable(MOVED_AWAY.into())),
        Err(_) => Err(CallError::Timeout { committed: Some(false) }),
    };
    reply::<M>(running.engine(), answer, outcome);
}

impl Core {
    /// Leaves the turn of a program's call in the mailbox of an actor that is busy. `Err` gives the arguments back: it is
    /// not busy any more, or its mailbox is full.
    pub(super) fn hand_off<M: Method>(
        &self,
        found: &Found<'_, M::Actor>,
        context: CallContext,
        arguments: M::Arguments,
    ) -> Result<Waiting<M>, M::Arguments> {
        let deadline = context.deadline;
        let (answer, reply) = oneshot::channel();
        let make = |arguments| Box::new(Call::<M>(Some(Waits { context, arguments, answer }))) as Box<_>;
        let mailbox = M::Actor::OPTIONS.mailbox;
        if found.activation.queue(M::Access::EXCLUSIVE, mailbox, deadline, arguments, make)? {
            self.env.spawn(Box::pin(sweep(Arc::downgrade(&found.own()), deadline)));
        }
        Ok(Waiting(reply))
    }
}

/// Tells those who wait in a mailbox when their deadlines have passed. Ends when there is none of them.
async fn sweep<A: ActorMethods>(activation: Weak<Activation<A>>, mut due: Instant) {
    loop {
        tokio::time::sleep_until(due).await;
        let Some(activation) = activation.upgrade() else { return };
        let (late, next) = activation.sweep(due);
        late.into_iter().for_each(|call| call.is_late(activation.engine()));
        let Some(next) = next else { return };
        due = next;
    }
}

/// Turns of one actor that stand in line; each takes one off the number of those that still may run.
type Work = Box<dyn FnOnce(&mut usize) + Send>;

thread_local! {
    /// What the turns that this thread runs have handed on; `None` while it runs none.
    static NEXT: RefCell<Option<VecDeque<Work>>> = const { RefCell::new(None) };
}

/// Runs a turn that was handed off, now or when the one that this thread runs has ended.
pub(super) fn hand_on<A: Actor>(guard: TurnGuard<A>, call: Box<dyn HandedOff<A>>) {
    let activation = guard.activation().clone();
    let work: Work = Box::new(move |left| run_in_line(call, guard, left));
    if let Some(work) = put_behind(work) {
        let in_a_row = if inline::may_run_here(activation.table().pace()) { IN_A_ROW } else { 0 };
        work_off(activation.engine().env(), VecDeque::from([work]), in_a_row);
    }
}

/// Runs a turn, and those that are next in line, while any may run. Each has the actor from the one before it.
fn run_in_line<A: Actor>(mut call: Box<dyn HandedOff<A>>, mut guard: TurnGuard<A>, left: &mut usize) {
    while *left > 0 {
        *left -= 1;
        match call.run(guard) {
            Some(next) => (call, guard) = next,
            None => return,
        }
    }
    let rest = put_behind(Box::new(move |left| run_in_line(call, guard, left)));
    debug_assert!(rest.is_none(), "a thread that runs this has a place for what is left");
}

/// Gives the work back if this thread runs no other.
fn put_behind(work: Work) -> Option<Work> {
    NEXT.with_borrow_mut(|next| match next {
        Some(next) => {
            next.push_back(work);
            None
        }
        None => Some(work),
    })
}

fn work_off(env: &SharedEnv, work: VecDeque<Work>, in_a_row: usize) {
    NEXT.set(Some(work));
    let _rest = Rest { env, in_a_row: in_a_row.max(1) };
    let mut left = in_a_row;
    while left > 0 {
        let Some(work) = NEXT.with_borrow_mut(|next| next.as_mut()?.pop_front()) else { break };
        work(&mut left);
    }
}

/// What a thread has not run of its work: a task goes on with it, also if something has panicked.
struct Rest<'a> {
    env: &'a SharedEnv,
    in_a_row: usize,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let rest = NEXT.take().unwrap_or_default();
        if !rest.is_empty() {
            let (env, in_a_row) = (self.env.clone(), self.in_a_row);
            self.env.spawn(Box::pin(async move { work_off(&env, rest, in_a_row) }));
        }
    }
}
