//! Calls that wait in a mailbox and are run by whoever gives the actor back.
//!
//! A call of a method that cannot wait (see `immediate`) leaves its whole turn in the mailbox: no task of its own, and
//! its caller is woken once, by the reply. The turn that ends before it runs it at its own end, and so on, in a loop and
//! not in a recursion: while a thread runs such a turn, what it hands on is put behind and run when it has ended. After
//! [`IN_A_ROW`] of them, or if turns of the type are long, the rest goes on in a task: a caller is not kept from its own
//! work by others for long.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::activation::{Activation, TurnGuard};
use super::begin::reply;
use super::turn::{self, CallForm, Progress};
use super::{AnyActivation, Core, inline};
use crate::actor::{Access, Actor, Method};
use crate::call::CallContext;
use crate::env::SharedEnv;
use crate::error::CallError;
use crate::reference::MOVED_AWAY;

/// How many turns a thread runs for others before it goes on with its own work.
const IN_A_ROW: usize = 32;

/// What waits for an actor in order to run a whole turn.
pub(super) trait HandedOff<A: Actor>: Send {
    /// Nobody waits for the reply any more.
    fn is_abandoned(&self) -> bool;
    /// Runs the turn. Does not wait for anything.
    fn run(self: Box<Self>, guard: TurnGuard<A>);
}

/// What comes back to the caller.
pub(crate) enum Handed<M: Method> {
    /// The turn has run.
    Done(Result<M::Reply, CallError<M::Error>>),
    /// The actor has left, or must be loaded first: the call must go the long way.
    NotNow(M::Arguments),
}

/// A reply that is on its way.
pub(crate) struct Waiting<M: Method> {
    engine: Arc<Core>,
    deadline: Instant,
    reply: oneshot::Receiver<Handed<M>>,
}

impl<M: Method> Waiting<M> {
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits for it. Dropping the future takes the call out of the mailbox.
    pub(crate) async fn outcome(self) -> Handed<M> {
        let late = match tokio::time::timeout_at(self.deadline, self.reply).await {
            Ok(Ok(handed)) => return handed,
            Ok(Err(_)) => CallError::Unavailable(MOVED_AWAY.into()),
            Err(_) => CallError::Timeout { committed: Some(false) },
        };
        Handed::Done(self.engine.answered::<M, _>(Err(late)))
    }
}

/// A call in a mailbox. If it leaves it without a turn, because the actor does, its caller tries again.
struct Call<M: Method>(Option<Waits<M>>);

struct Waits<M: Method> {
    context: CallContext,
    arguments: M::Arguments,
    answer: oneshot::Sender<Handed<M>>,
}

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

    fn run(mut self: Box<Self>, mut guard: TurnGuard<M::Actor>) {
        if guard.loaded().is_none() {
            match turn::made_new() {
                Some(new) if !guard.activation().table().wakes() => guard.install(new, M::Access::EXCLUSIVE),
                _ => return,
            }
        }
        let Some(Waits { context, arguments, answer }) = self.0.take() else { return };
        let activation = guard.activation().clone();
        let engine = activation.engine();
        if engine.is_draining() {
            let error = CallError::Unavailable(turn::DRAINING.into());
            return drop(answer.send(Handed::Done(engine.answered::<M, _>(Err(error)))));
        }
        let measure = inline::sample(activation.table().pace());
        if measure.is_some() {
            engine.sampled(activation.id());
        }
        let cx = turn::cx::<M>(&guard, || context);
        let span = turn::span::<M>(activation.id());
        let mut turn = Box::pin(async move {
            let turn = turn::turn::<M>(guard, cx, Progress::default(), arguments, CallForm::default());
            // The caller may have gone.
            let _ = answer.send(Handed::Done(reply(turn.await)));
        });
        if span.in_scope(|| inline::poll_measured(measure, turn.as_mut()).is_pending()) {
            // The method has ended; its reply waits for the output gate.
            engine.env.spawn(turn);
        }
    }
}

impl Core {
    /// Leaves the turn of a program's call in the mailbox of an actor that is busy. `Err` gives the arguments back: it is
    /// not busy any more, or its mailbox is full.
    pub(super) fn hand_off<M: Method>(
        self: &Arc<Self>,
        activation: &Activation<M::Actor>,
        context: CallContext,
        arguments: M::Arguments,
    ) -> Result<Waiting<M>, M::Arguments> {
        let deadline = context.deadline;
        let (answer, reply) = oneshot::channel();
        let make = |arguments| Box::new(Call::<M>(Some(Waits { context, arguments, answer }))) as Box<_>;
        activation.queue(M::Access::EXCLUSIVE, M::Actor::OPTIONS.mailbox, arguments, make)?;
        Ok(Waiting { engine: self.clone(), deadline, reply })
    }
}

type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    /// What the turns that this thread runs have handed on; `None` while it runs none.
    static NEXT: RefCell<Option<VecDeque<Work>>> = const { RefCell::new(None) };
}

/// Runs a turn that was handed off, now or when the one that this thread runs has ended.
pub(super) fn hand_on<A: Actor>(guard: TurnGuard<A>, call: Box<dyn HandedOff<A>>) {
    let activation = guard.activation().clone();
    let work: Work = Box::new(move || call.run(guard));
    if let Some(work) = put_behind(work) {
        let in_a_row = if inline::may_run_here(activation.table().pace()) { IN_A_ROW } else { 0 };
        work_off(activation.engine().env(), VecDeque::from([work]), in_a_row);
    }
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
    for _ in 0..in_a_row {
        let Some(work) = NEXT.with_borrow_mut(|next| next.as_mut()?.pop_front()) else { break };
        work();
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
