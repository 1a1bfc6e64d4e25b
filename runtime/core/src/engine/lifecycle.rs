//! How an actor comes into memory and leaves it, beside a plain load: hooks, and who may stay.
//!
//! `#[on_activate]` runs inside the turn that loads the state, before its method; what it changes is a commit of its
//! own. If it fails, those who wait are told so, and the next call tries again with the stored state.
//!
//! Leaving is a turn, too: it waits behind the turns that came before it, runs `#[on_deactivate]`, waits until all that
//! the state saw is durable (it could not be loaded again before), and only then takes the state out of memory. An
//! actor type without that hook leaves without a turn when it has been idle for long.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Core;
use super::activation::{Activation, AnyActivation, Entry, Loaded, TurnGuard};
use super::drain::Running;
use super::{post, turn};
use crate::actor::{Access, Actor, ActorMethods, Durability, Exclusive, Method};
use crate::call::{Call, CallContext, CallResult, Chain, DEFAULT_DEADLINE};
use crate::codec::Payload;
use crate::cx::Cx;
use crate::error::{AppError, CallError};
use crate::identity::{ActorId, CallId};
use crate::reference::MOVED_AWAY;
use crate::request::RequestContext;
use crate::transport::SharedTransport;

/// The method by which the owner of an actor is asked to let it go. No actor can have a method of this name, and the
/// gateway takes no call of it.
pub(super) const DEACTIVATE: &str = "@deactivate";

/// How many actors leave at the same time when many do.
const LEAVING_AT_ONCE: usize = 64;

/// What an actor type does when an actor comes into memory and when it leaves; `#[actor_methods]` makes it.
pub struct Hooks<A: Actor> {
    activate: Option<Hook<A>>,
    deactivate: Option<Hook<A>>,
}

/// Runs a hook as a turn that the caller has entered.
type Hook<A> = for<'a> fn(&'a mut TurnGuard<A>, &'a Cx) -> BoxFuture<'a, Result<(), CallError>>;

impl<A: ActorMethods> Hooks<A> {
    /// A type that does nothing then.
    pub const NONE: Self = Self { activate: None, deactivate: None };

    /// With this method run after the state is loaded.
    pub fn on_activate<M>(self) -> Self
    where
        M: Method<Actor = A, Access = Exclusive, Reply = (), Error = AppError>,
    {
        Self { activate: Some(turn::run_hook::<M>), ..self }
    }

    /// With this method run before the actor leaves memory.
    pub fn on_deactivate<M>(self) -> Self
    where
        M: Method<Actor = A, Access = Exclusive, Reply = (), Error = AppError>,
    {
        Self { deactivate: Some(turn::run_hook::<M>), ..self }
    }

    pub(super) fn wakes(&self) -> bool {
        self.activate.is_some()
    }

    pub(super) fn says_farewell(&self) -> bool {
        self.deactivate.is_some()
    }
}

/// Why an actor leaves memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Nobody has called it for its type's idle timeout.
    Idle,
    /// The node needs the memory.
    Shed,
    /// It asked for it itself, or somebody did.
    Asked,
    /// The node is stopping.
    Drained,
}

impl Leaving {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Shed, Self::Asked, Self::Drained];

    /// The name used in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Shed => "shed",
            Self::Asked => "asked",
            Self::Drained => "drained",
        }
    }
}

/// What the engine keeps about actors that stay or left: nothing for those that never asked for it.
#[derive(Default)]
pub(super) struct Lifecycle {
    /// Who stays in memory, until when.
    kept: Mutex<HashMap<ActorId, Instant>>,
    left: [AtomicU64; Leaving::ALL.len()],
}

impl Lifecycle {
    pub(super) fn count(&self, why: Leaving) {
        self.left[why as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes an actor out of memory wherever it is; see [`Core::deactivate`]. Returns false if it was in memory nowhere.
pub async fn deactivate_anywhere(transport: &SharedTransport, actor: &ActorId) -> Result<bool, CallError> {
    let env = transport.env();
    let context = CallContext {
        id: CallId(env.random()),
        deadline: env.now() + DEFAULT_DEADLINE,
        chain: Chain::default(),
        request: RequestContext::default(),
    };
    let (method, arguments) = (DEACTIVATE.into(), Payload::default());
    let call = Call { target: actor.clone(), method, arguments, context, delivery: None };
    let reply = transport.call(call).await.map_err(CallError::typed)?;
    Ok(reply.decode("the reply")?)
}

/// The answer to a call of [`DEACTIVATE`].
pub(super) async fn deactivate_by_call(engine: Arc<Core>, call: Call) -> CallResult {
    let left = timeout_at(call.context.deadline, engine.deactivate(&call.target)).await;
    let left = left.map_err(|_| CallError::Timeout { committed: None })?;
    Ok(Payload::encode(call.arguments.content_type, "the reply", &left)?)
}

/// Runs `#[on_activate]` on a state that has just been loaded, and puts it into the activation. `call` is what the actor
/// is activated for.
pub(super) async fn activate<M: Method>(
    mut guard: TurnGuard<M::Actor>,
    loaded: Loaded<M::Actor>,
    call: &CallContext,
) -> Result<TurnGuard<M::Actor>, CallError<M::Error>> {
    let (saw, slot) = (loaded.saw, loaded.slot().cloned());
    guard.install_asleep(loaded);
    if let Some(hook) = M::Actor::hooks().activate {
        let hook_cx = hook_cx(&guard, call.deadline, call.chain.clone(), call.request.clone());
        match hook(&mut guard, &hook_cx).await {
            Ok(()) => {
                if post::put(&hook_cx) {
                    post::send(hook_cx.engine(), hook_cx.shard());
                }
            }
            Err(CallError::Unavailable(why)) => return Err(CallError::Unavailable(why)),
            Err(CallError::Overloaded(why)) => return Err(CallError::Overloaded(why)),
            Err(error) => {
                let activation = guard.activation().clone();
                let reason = format!("{} could not be activated: {error}", activation.id());
                // Whoever loads the state next must find what earlier turns changed.
                let durable = activation.engine().settle(activation.shard(), slot.as_deref(), saw).await;
                durable.map_err(|_| CallError::Unavailable(MOVED_AWAY.into()))?;
                guard.refuse(&reason);
                activation.engine().forget_gone(activation.id());
                return Err(CallError::Refused(reason));
            }
        }
    }
    guard.awake(M::Access::EXCLUSIVE);
    Ok(guard)
}

/// Each run of a hook is an event of its own, with an id of its own: what it calls is not what an earlier run called.
fn hook_cx<A: ActorMethods>(
    guard: &TurnGuard<A>,
    deadline: Instant,
    chain: Chain,
    request: RequestContext,
) -> Cx {
    let activation = guard.activation().clone();
    let context = CallContext { id: CallId(activation.engine().env.random()), deadline, chain, request };
    let commits = A::OPTIONS.durability != Durability::Volatile;
    Cx::new(activation, context, true, commits, guard.saw())
}

/// Takes an actor out of memory behind the turns that run or wait now. Returns whether it left: not if somebody else
/// was faster, or if it was used within `at_least`.
pub(super) async fn deactivate<A: ActorMethods>(
    engine: Arc<Core>,
    activation: Arc<Activation<A>>,
    why: Leaving,
    at_least: Duration,
) -> bool {
    let _running = Running::new(engine.clone());
    let entry = Entry { exclusive: true, reenter: false, mailbox: usize::MAX };
    let Ok(mut guard) = activation.enter(entry).await else { return false };
    if guard.idle_for(engine.env.now()) < at_least {
        return false;
    }
    let (id, shard) = (activation.id(), activation.shard());
    if guard.loaded().is_some() {
        say_farewell(&mut guard).await;
    }
    let (saw, slot) = match guard.loaded() {
        Some(loaded) => (loaded.saw, loaded.slot().cloned()),
        // A failed turn's state has not been activated again, so there was nothing to say farewell to.
        None => {
            let kept = guard.take_kept();
            kept.map_or_else(|| (guard.load_after(), None), |kept| (kept.saw, kept.slot().cloned()))
        }
    };
    if engine.settle(shard, slot.as_deref(), saw).await.is_err() {
        return false;
    }
    guard.retire();
    engine.forget_gone(id);
    engine.lifecycle.kept.lock().remove(id);
    engine.lifecycle.count(why);
    true
}

/// Runs `#[on_deactivate]`, if there is one. Whatever becomes of it, the actor leaves.
async fn say_farewell<A: ActorMethods>(guard: &mut TurnGuard<A>) {
    let Some(hook) = A::hooks().deactivate else { return };
    let activation = guard.activation().clone();
    let actor = activation.id();
    let deadline = activation.engine().env.now() + DEFAULT_DEADLINE;
    let cx = hook_cx(guard, deadline, Chain::default(), RequestContext::default());
    let failed = match timeout_at(deadline, hook(guard, &cx)).await {
        Ok(Ok(())) => {
            if post::put(&cx) {
                post::send(cx.engine(), cx.shard());
            }
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {DEFAULT_DEADLINE:?}"),
    };
    tracing::warn!(%actor, failed, "#[on_deactivate] failed; what it changed is not kept");
}

impl Core {
    /// Takes an actor out of memory when the turns that run or wait now are done. Returns false if it is not in memory
    /// here. The next call activates it again, with the state that was committed; a parked actor takes calls again.
    ///
    /// Dropping the future leaves the actor where it is.
    pub async fn deactivate(self: &Arc<Self>, actor: &ActorId) -> bool {
        let panicked = self.forgive(actor);
        let Some(activation) = self.directory.get(actor) else { return panicked };
        self.let_go(activation, Leaving::Asked, Duration::ZERO).await || panicked
    }

    /// Keeps an actor in memory until then, unless it is asked to leave or the node stops. An earlier wish counts as long
    /// as it reaches further.
    pub fn keep_alive(&self, actor: &ActorId, until: Instant) {
        let mut kept = self.lifecycle.kept.lock();
        let until = kept.get(actor).map_or(until, |before| until.max(*before));
        kept.insert(actor.clone(), until);
    }

    /// How many actors have left memory, by reason.
    pub fn departures(&self) -> [(Leaving, u64); Leaving::ALL.len()] {
        Leaving::ALL.map(|why| (why, self.lifecycle.left[why as usize].load(Ordering::Relaxed)))
    }

    /// Takes the actors out of memory that have been idle for their type's idle timeout.
    pub(super) fn deactivate_idle_now(self: &Arc<Self>) {
        let now = self.env.now();
        let mut kept = self.lifecycle.kept.lock();
        kept.retain(|_, until| *until > now);
        let mut leaving = Vec::new();
        for activation in self.directory.pin().iter() {
            let timeout = activation.table().options().idle_timeout;
            let is_idle = activation.idle_for(now).is_some_and(|idle| idle >= timeout);
            if is_idle && !kept.contains_key(activation.id()) {
                leaving.push((activation.clone(), timeout));
            }
        }
        drop(kept);
        self.let_go_of(leaving, Leaving::Idle);
    }

    /// Takes the `count` actors out of memory that have been idle for longest. Returns how many of them there were.
    pub fn shed(self: &Arc<Self>, count: usize) -> usize {
        let now = self.env.now();
        let kept = self.lifecycle.kept.lock();
        let stays = |id: &ActorId| kept.get(id).is_some_and(|until| *until > now);
        let mut idle: Vec<_> = Vec::new();
        for activation in self.directory.pin().iter() {
            if let Some(idle_for) = activation.idle_for(now).filter(|_| !stays(activation.id())) {
                idle.push((activation.clone(), idle_for));
            }
        }
        drop(kept);
        if idle.len() > count {
            idle.select_nth_unstable_by_key(count, |(_, idle_for)| Reverse(*idle_for));
            idle.truncate(count);
        }
        let leaving = idle.len();
        self.let_go_of(idle, Leaving::Shed);
        leaving
    }

    /// Lets those say farewell whose type wants it; for a node that stops.
    pub(super) async fn deactivate_all(self: &Arc<Self>) {
        let leaving: Vec<_> = {
            let directory = self.directory.pin();
            let all = directory.iter().filter(|activation| activation.table().says_farewell());
            all.map(|activation| (activation.clone(), Duration::ZERO)).collect()
        };
        self.clone().let_go_in_turn(leaving, Leaving::Drained).await;
    }

    /// Those without a hook leave here and now, the others in turns of their own.
    fn let_go_of(self: &Arc<Self>, leaving: Vec<(Arc<dyn AnyActivation>, Duration)>, why: Leaving) {
        let now = self.env.now();
        let (slow, quick): (Vec<_>, Vec<_>) =
            leaving.into_iter().partition(|(activation, _)| activation.table().says_farewell());
        for (activation, at_least) in quick {
            if activation.deactivate_if_idle(now, at_least) {
                self.forget(&activation);
                self.lifecycle.count(why);
            }
        }
        if !slow.is_empty() {
            self.env.spawn(Box::pin(self.clone().let_go_in_turn(slow, why)));
        }
    }

    async fn let_go_in_turn(self: Arc<Self>, leaving: Vec<(Arc<dyn AnyActivation>, Duration)>, why: Leaving) {
        let farewells =
            stream::iter(leaving).for_each_concurrent(LEAVING_AT_ONCE, |(activation, at_least)| {
                let engine = self.clone();
                async move {
                    engine.let_go(activation, why, at_least).await;
                }
            });
        farewells.await;
    }

    fn let_go(
        self: &Arc<Self>,
        activation: Arc<dyn AnyActivation>,
        why: Leaving,
        at_least: Duration,
    ) -> BoxFuture<'static, bool> {
        let own = activation.clone();
        activation.table().deactivate(self.clone(), own, why, at_least)
    }
}
