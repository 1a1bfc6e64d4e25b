//! The whole turn of a method that cannot wait: a plain `fn`, or an `async fn` without an `.await`.
//!
//! Such a method ends where it begins, on its caller's stack. So its turn needs no future of its own, no reference to the
//! activation beyond the caller's look at the directory, and nobody finds it in the middle: a drain or a move sees it
//! before or after. What else a turn is stays as in [`super::turn`]: the turn lock, rollback, the output gate.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;

use super::activation::{Before, Ended, Entry, SharedState};
use super::begin::Begun;
use super::directory::Found;
use super::drain::Running;
use super::inline::{self, Measured, Nested};
use super::scratch::Scratch;
use super::turn::{self, panic_message};
use super::{AnyActivation, Core, post};
use crate::actor::{Access, Actor, Durability, Method};
use crate::call::CallContext;
use crate::cx::Cx;
use crate::error::CallError;
use crate::identity::{ActorId, Seq};
use crate::reference::MOVED_AWAY;
use crate::shard::{Closed, OwnedShard};

impl Core {
    /// Runs the turn, if the actor is idle. The caller has checked that this method's calls may take the short way.
    pub(super) fn run_now<M: Method>(
        self: &Arc<Self>,
        found: &Found<'_, M::Actor>,
        caller: Option<&Cx>,
        context: &impl Fn() -> CallContext,
        arguments: M::Arguments,
    ) -> Begun<M> {
        let activation = found.activation;
        let (id, shard, table) = (activation.id(), activation.shard(), activation.table());
        let pace = table.pace();
        let draining = caller.is_none() && self.turns.is_draining();
        if draining || !inline::may_run_here(pace) || shard.gate().committed().is_none() {
            return Begun::NotNow(arguments);
        }
        let made = caller.map(|_| context());
        if let Some(made) = &made {
            let path = made.chain.cycle(id, M::Access::EXCLUSIVE);
            if !path.is_empty() && M::REENTRANT {
                return Begun::NotNow(arguments);
            }
            if !path.is_empty() {
                return Begun::Done(self.answered::<M, _>(Err(CallError::Deadlock { path })));
            }
        }
        let entry = Entry { exclusive: M::Access::EXCLUSIVE, reenter: false, mailbox: 0 };
        let Some((exclusive, loaded)) = activation.begin(entry) else { return Begun::NotNow(arguments) };
        let loaded = loaded.or_else(|| turn::made_new().filter(|_| !table.wakes()).map(SharedState::new));
        let Some(mut loaded) = loaded else {
            let ended =
                Ended { exclusive, loaded: None, failed: false, waking: false, before: Before::Nothing };
            activation.end(|| found.own(), ended);
            return Begun::NotNow(arguments);
        };
        let sampled = inline::sample();
        if sampled {
            self.sampled(id);
        }
        let (mut before, mut changing) = (Before::Nothing, false);
        let cx = match M::TAKES_CX {
            true => {
                let context = made.unwrap_or_else(context);
                Cx::new(found.own(), context, M::Access::EXCLUSIVE, false, loaded.saw)
            }
            false => Cx::NONE,
        };
        let answer = {
            let _nested = Nested::enter();
            let _measured = sampled.then(|| Measured::begin(pace));
            let _in_span = turn::in_span::<M>(id);
            keep::<M>(&loaded.state).and_then(|kept| {
                (before, changing) = (kept, M::Access::EXCLUSIVE);
                self.run_body::<M>(id, &mut loaded, &cx, arguments)
            })
        };
        let (saw, failed) = (loaded.saw, changing && answer.is_err());
        let told = M::TAKES_CX && answer.is_ok() && post::put(&cx);
        activation
            .end(|| found.own(), Ended { exclusive, loaded: Some(loaded), failed, waking: false, before });
        if told {
            post::send(self, shard);
        }
        // The answer leaves when everything that the turn saw is committed (I3), which is nearly always now.
        if shard.gate().committed().is_some_and(|committed| committed >= saw) {
            table.counters().answered(M::INDEX, &answer);
            return Begun::Done(answer);
        }
        self.let_out_later::<M>(shard.clone(), saw, answer)
    }

    pub(super) fn run_body<M: Method>(
        &self,
        id: &ActorId,
        loaded: &mut SharedState<M::Actor>,
        cx: &Cx,
        arguments: M::Arguments,
    ) -> Result<M::Reply, CallError<M::Error>> {
        let mut ends = M::TAKES_CX.then(|| cx.ends());
        let body = || M::run(M::Access::borrow(loaded), cx, arguments).now_or_never();
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(ended) => {
                let reply = ended.expect("a method without `.await` ends when it is polled");
                if let (true, Some(ends)) = (reply.is_ok(), &mut ends) {
                    ends.well();
                }
                reply.map_err(CallError::App)
            }
            Err(panic) => Err(self.body_panicked::<M>(id, &*panic)),
        }
    }

    pub(super) fn body_panicked<M: Method>(
        &self,
        actor: &ActorId,
        panic: &(dyn Any + Send),
    ) -> CallError<M::Error> {
        let message = panic_message(panic);
        tracing::error!(%actor, method = M::NAME, message, "a method panicked; rolled back");
        self.panicked::<M::Actor>(actor, message);
        CallError::Panicked(format!("{actor}.{}: {message}", M::NAME))
    }

    #[cold]
    fn let_out_later<M: Method>(
        self: &Arc<Self>,
        shard: Arc<OwnedShard>,
        saw: Seq,
        answer: Result<M::Reply, CallError<M::Error>>,
    ) -> Begun<M> {
        let running = Running::new(self.clone());
        Begun::Suspended(Box::pin(async move {
            let answer = match shard.gate().wait(saw).await {
                Ok(()) => answer,
                Err(Closed) => Err(CallError::Unavailable(MOVED_AWAY.into())),
            };
            running.engine().answered::<M, _>(answer)
        }))
    }
}

/// A state up to this size is copied, if it can be.
const SMALL: usize = 256;

/// What a failed turn goes back to.
pub(super) fn keep<M: Method>(state: &M::Actor) -> Result<Before<M::Actor>, CallError<M::Error>> {
    let options = &M::Actor::OPTIONS;
    if !M::Access::EXCLUSIVE || options.durability != Durability::Volatile || options.no_rollback {
        return Ok(Before::Nothing);
    }
    if size_of::<M::Actor>() <= SMALL
        && let Some(copy) = state.copied()
    {
        return Ok(Before::Copied(copy));
    }
    let mut encoded = Scratch::take();
    turn::encode_state(state, &mut encoded)?;
    Ok(Before::Encoded(encoded))
}
