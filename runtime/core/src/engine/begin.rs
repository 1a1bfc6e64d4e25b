//! What a call made in this process does when it is first polled: at best the whole turn.
//!
//! If the actor is in memory (or needs no loading) and idle, and the turn writes no record, then the caller runs it then
//! and there. Nothing that other threads use is touched on the way, not even a reference count: that, and not the work
//! itself, is what a call costs when several cores make calls. Everything else goes the long way, see [`super::turn`].

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use smol_str::SmolStr;
use tokio::time::Instant;
use tracing::Instrument;

use super::Core;
use super::activation::{Activation, AnyActivation, Entry};
use super::deadlock::Awaited;
use super::directory::Found;
use super::handoff::Waiting;
use super::inline::{self, Turn};
use super::turn::{self, Answer, CallForm, Progress};
use crate::actor::{Access, Actor, ActorMethods, Method, OnPanic};
use crate::call::CallContext;
use crate::cx::Cx;
use crate::error::CallError;
use crate::identity::ActorId;

/// What became of a call at its first poll.
pub(crate) enum Begun<M: Method> {
    /// The turn has run.
    Done(Result<M::Reply, CallError<M::Error>>),
    /// The turn has begun; here is its end.
    Suspended(BoxFuture<'static, Result<M::Reply, CallError<M::Error>>>),
    /// It waits in the actor's mailbox, until this deadline.
    Waiting(Instant, Waiting<M>),
    /// Nothing has happened: the call must go the long way.
    NotNow(M::Arguments),
}

impl Core {
    /// Begins a call of a program, or of the turn `caller`. `context` makes the call's context, if one is needed at all.
    pub(crate) fn begin<M: Method>(
        self: &Arc<Self>,
        caller: Option<&Cx>,
        key: &SmolStr,
        context: impl Fn() -> CallContext,
        arguments: M::Arguments,
        task: &mut Context<'_>,
    ) -> Begun<M> {
        if !self.short_way::<M>(caller) {
            return Begun::NotNow(arguments);
        }
        if M::IMMEDIATE {
            return self.begin_now(caller, key, context, arguments, true);
        }
        let Some(activation) = self.activation_at_hand::<M::Actor>(key) else {
            return Begun::NotNow(arguments);
        };
        let pace = activation.table().pace();
        if !inline::may_run_here(pace) || activation.shard().gate().committed().is_none() {
            return Begun::NotNow(arguments);
        }
        let measure = inline::sample().then(|| pace.clone());
        if measure.is_some() {
            self.sampled(activation.id());
        }
        let made = caller.map(|_| context());
        if let Some(context) = &made {
            let path = context.chain.cycle(activation.id(), M::Access::EXCLUSIVE);
            if !path.is_empty() && M::REENTRANT {
                return Begun::NotNow(arguments);
            }
            if !path.is_empty() {
                return Begun::Done(self.answered::<M, _>(Err(CallError::Deadlock { path })));
            }
        }
        let Some(mut guard) =
            activation.enter_now(Entry { exclusive: M::Access::EXCLUSIVE, reenter: false, mailbox: 0 })
        else {
            return Begun::NotNow(arguments);
        };
        if caller.is_none() && self.turns.is_draining() {
            return Begun::NotNow(arguments);
        }
        if guard.loaded().is_none() {
            match turn::made_new() {
                Some(loaded) if !guard.activation().table().wakes() => {
                    guard.install(loaded, M::Access::EXCLUSIVE);
                }
                _ => return Begun::NotNow(arguments),
            }
        }
        let deadline = made.as_ref().map(|made| made.deadline);
        let call = made.as_ref().map(|made| made.id);
        let cx = turn::cx::<M>(&guard, || made.unwrap_or_else(&context));
        let span = turn::span::<M>(guard.activation().id());
        let turn = turn::turn::<M>(guard, cx, Progress::default(), arguments, CallForm::default());
        let mut turn = match span.is_disabled() {
            true => Turn::new(measure, turn),
            false => Turn::new(measure, turn.instrument(span)),
        };
        if let Poll::Ready(answer) = turn.poll_here(task) {
            return Begun::Done(reply::<M>(answer));
        }
        let deadline = deadline.unwrap_or_else(|| context().deadline);
        let engine = self.clone();
        let awaited = caller.zip(call);
        let awaited = awaited.map(|(caller, call)| Awaited::note(caller, call, met::<M::Actor>(key)));
        Begun::Suspended(Box::pin(async move {
            let _awaited = awaited;
            match turn.hand_over(&engine.env, deadline).await {
                Ok(answer) => reply::<M>(answer),
                Err(why) => engine.answered::<M, _>(Err(Progress::default().interrupted(why))),
            }
        }))
    }

    /// Runs a message's turn, if that can be done before its sender goes on.
    pub(crate) fn begin_tell<M: Method>(
        self: &Arc<Self>,
        key: &SmolStr,
        context: impl Fn() -> CallContext,
        arguments: M::Arguments,
    ) -> Begun<M> {
        if M::IMMEDIATE && self.short_way::<M>(None) {
            return self.begin_now(None, key, context, arguments, false);
        }
        Begun::NotNow(arguments)
    }

    /// Whether a call of this method may be answered without a look at filters, policies and the disk.
    pub(super) fn short_way<M: Method>(&self, caller: Option<&Cx>) -> bool {
        let options = &M::Actor::OPTIONS;
        let plain = !self.long_way && !options.stateless && matches!(options.on_panic, OnPanic::Reload);
        let keeps_nothing = !turn::commits::<M>() && !turn::only_remembers::<M>();
        plain && keeps_nothing && caller.is_none_or(Cx::may_speak)
    }

    fn begin_now<M: Method>(
        self: &Arc<Self>,
        caller: Option<&Cx>,
        key: &SmolStr,
        context: impl Fn() -> CallContext,
        arguments: M::Arguments,
        may_wait: bool,
    ) -> Begun<M> {
        let directory = self.directory.pin();
        if let Some(found) = directory.glance::<M::Actor>(key) {
            // A turn's call goes the long way, where deadlocks are found.
            let may_wait = may_wait && caller.is_none();
            let mut arguments = arguments;
            // Threads that come to a busy actor wait for its lock: one look at it is enough.
            if may_wait && M::Access::EXCLUSIVE && !found.activation.rests() {
                match self.wait_in_mailbox(&found, &context, arguments) {
                    Begun::NotNow(again) => arguments = again,
                    begun => return begun,
                }
            }
            return match self.run_now(&found, caller, &context, arguments) {
                Begun::NotNow(arguments) if may_wait => self.wait_in_mailbox(&found, &context, arguments),
                begun => begun,
            };
        }
        drop(directory);
        let made = self.new_activation::<M::Actor>(key).map(|made| made as Arc<dyn AnyActivation>);
        match made.as_ref().and_then(Found::new) {
            Some(made) => self.run_now(&made, caller, &context, arguments),
            None => Begun::NotNow(arguments),
        }
    }

    fn wait_in_mailbox<M: Method>(
        self: &Arc<Self>,
        found: &Found<'_, M::Actor>,
        context: &impl Fn() -> CallContext,
        arguments: M::Arguments,
    ) -> Begun<M> {
        if self.turns.is_draining() {
            return Begun::NotNow(arguments);
        }
        let context = context();
        let deadline = context.deadline;
        match self.hand_off::<M>(found, context, arguments) {
            Ok(waiting) => Begun::Waiting(deadline, waiting),
            Err(arguments) => Begun::NotNow(arguments),
        }
    }

    /// The activation of an actor, made if its shard is served here.
    fn activation_at_hand<A: ActorMethods>(self: &Arc<Self>, key: &SmolStr) -> Option<Arc<Activation<A>>> {
        let found = self.directory.pin().glance(key).map(|found| found.own());
        found.or_else(|| self.new_activation(key))
    }

    fn new_activation<A: ActorMethods>(self: &Arc<Self>, key: &SmolStr) -> Option<Arc<Activation<A>>> {
        if !self.typed.contains_key(&std::any::TypeId::of::<A>()) {
            return None;
        }
        let target = ActorId::of::<A>(key).ok()?;
        self.activation(&target, &self.place_of_type::<A>(&target)?)
    }
}

/// The identity of an actor that a call has met.
pub(super) fn met<A: Actor>(key: &SmolStr) -> ActorId {
    ActorId::of::<A>(key).expect("there is no activation of a key that is not valid")
}

pub(super) fn reply<M: Method>(
    answer: Result<Answer<M>, CallError<M::Error>>,
) -> Result<M::Reply, CallError<M::Error>> {
    match answer? {
        Answer::Fresh(reply) => Ok(reply),
        Answer::Stored(reply) => Ok(reply.decode("the stored reply")?),
    }
}
