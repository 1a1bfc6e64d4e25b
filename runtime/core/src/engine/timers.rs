//! Timers: calls that an activation makes to itself later, gone when it leaves memory.
//!
//! A timer is a task that sleeps and then takes its place in the mailbox like any caller. **Invariant**: its turn runs in
//! the very activation that set it, or not at all: whoever the timer finds in another one is not its actor any more.
//! Cancelling works until the turn begins, so a turn may cancel its own timer without ending itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::activation::{Activation, AnyActivation, TurnGuard};
use super::post::Outgoing;
use super::turn::{self, CallForm, Progress};
use super::{Core, inline};
use crate::actor::{Actor, Method};
use crate::call::{CallContext, Chain, DEFAULT_DEADLINE};
use crate::codec::Payload;
use crate::error::CallError;
use crate::filter::Way;
use crate::identity::{ActorId, CallId};
use crate::request::RequestContext;

/// A timer that sleeps for long looks now and then whether its activation is still there.
const LOOK: Duration = Duration::from_secs(60);
/// A single timer that finds the mailbox full tries again after this long.
const FULL_AGAIN: Duration = Duration::from_millis(50);

/// The timers of a node that ring again and again.
#[derive(Default)]
pub(super) struct Timers(Mutex<HashMap<ActorId, Vec<Repeating>>>);

struct Repeating {
    method: &'static str,
    arguments: Bytes,
    cancel: Arc<Cancel>,
}

impl Timers {
    /// Adds a timer in the place of an equal one: `#[on_activate]` runs again after a turn that was rolled back.
    fn add(&self, actor: ActorId, timer: Repeating) {
        let mut timers = self.0.lock();
        let of_actor = timers.entry(actor).or_default();
        of_actor.retain(|earlier| {
            let equal = earlier.method == timer.method && earlier.arguments == timer.arguments;
            if equal {
                earlier.cancel.cancel();
            }
            !equal
        });
        of_actor.push(timer);
    }

    fn remove(&self, actor: &ActorId, cancel: &Arc<Cancel>) {
        let mut timers = self.0.lock();
        if let Some(of_actor) = timers.get_mut(actor) {
            of_actor.retain(|timer| !Arc::ptr_eq(&timer.cancel, cancel));
            if of_actor.is_empty() {
                timers.remove(actor);
            }
        }
    }
}

/// Ends a timer.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    cancelled: AtomicBool,
    wake: Notify,
}

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Returns when it is cancelled.
    async fn cancelled(&self) {
        while !self.is_cancelled() {
            self.wake.notified().await;
        }
    }
}

/// A call of an activation by itself.
pub(crate) struct SelfCall<M: Method> {
    activation: Weak<Activation<M::Actor>>,
    /// Encoded, since each time needs its own.
    arguments: Payload,
    request: RequestContext,
}

impl<M: Method> SelfCall<M> {
    /// `None` if the activation is not one of the method's type.
    pub(crate) fn new(
        activation: &Arc<dyn AnyActivation>,
        arguments: Payload,
        request: RequestContext,
    ) -> Option<Self> {
        let activation = activation.clone().into_typed::<M::Actor>()?;
        Some(Self { activation: Arc::downgrade(&activation), arguments, request })
    }

    /// The activation, if it is in memory.
    pub(super) fn activation(&self) -> Option<Arc<Activation<M::Actor>>> {
        self.in_memory().filter(|activation| !activation.is_gone())
    }

    /// The activation, if it is in memory or leaving it: whoever has not entered it cannot tell.
    pub(super) fn in_memory(&self) -> Option<Arc<Activation<M::Actor>>> {
        self.activation.upgrade()
    }

    pub(super) fn arguments(&self) -> Result<M::Arguments, CallError<M::Error>> {
        Ok(self.arguments.decode("the arguments of a timer")?)
    }

    /// A call that comes from nobody: its chain is empty, and it has its own time.
    pub(super) fn context(&self, engine: &Core) -> CallContext {
        CallContext {
            id: CallId(engine.env.random()),
            deadline: engine.env.now() + DEFAULT_DEADLINE,
            chain: Chain::default(),
            request: self.request.clone(),
        }
    }

    /// Waits for the actor. `None`: it is in another activation now.
    pub(super) async fn enter(
        &self,
        activation: &Arc<Activation<M::Actor>>,
        context: &CallContext,
    ) -> Result<Option<TurnGuard<M::Actor>>, CallError<M::Error>> {
        let engine = activation.engine();
        match turn::enter::<M>(engine, activation.shard(), activation.id(), context).await {
            Ok(guard) => Ok(Some(guard).filter(|guard| Arc::ptr_eq(guard.activation(), activation))),
            Err(error) => engine.answered::<M, _>(Err(error)),
        }
    }

    /// Runs the turn that was entered.
    pub(super) async fn run(
        &self,
        guard: TurnGuard<M::Actor>,
        context: CallContext,
    ) -> Result<(), CallError<M::Error>> {
        let (arguments, deadline) = (self.arguments()?, context.deadline);
        let engine = guard.activation().engine().clone();
        let pace = guard.activation().table().pace().clone();
        let cx = turn::cx::<M>(&guard, || context);
        let turn = turn::turn::<M>(guard, cx, Progress::default(), arguments, CallForm::default());
        match inline::run(&engine.env, &pace, deadline, turn).await {
            Ok(answer) => answer.map(drop),
            Err(why) => engine.answered::<M, _>(Err(Progress::default().interrupted(why))),
        }
    }
}

/// A timer that has not begun yet: it begins when the turn that set it has ended well.
pub(crate) struct NewTimer<M: Method> {
    pub(crate) call: SelfCall<M>,
    pub(crate) cancel: Arc<Cancel>,
    pub(crate) at: Instant,
    pub(crate) period: Option<Duration>,
}

impl<M: Method> Outgoing for NewTimer<M> {
    fn send(self: Box<Self>) {
        if let Some(activation) = self.call.activation() {
            let (engine, actor) = (activation.engine().clone(), activation.id().clone());
            let env = engine.env.clone();
            if self.period.is_none() {
                env.spawn(Box::pin(self.keep_time()));
                return;
            }
            let (arguments, cancel) = (self.call.arguments.data.clone(), self.cancel.clone());
            let timer = Repeating { method: M::NAME, arguments, cancel: cancel.clone() };
            engine.timers.add(actor.clone(), timer);
            // The engine holds its tasks, not they the engine.
            let engine = Arc::downgrade(&engine);
            env.spawn(Box::pin(async move {
                self.keep_time().await;
                if let Some(engine) = engine.upgrade() {
                    engine.timers.remove(&actor, &cancel);
                }
            }));
        }
    }

    fn give_up(self: Box<Self>, _engine: &Core) {}
}

enum Fired {
    /// The turn has run, well or not.
    Done,
    Full,
    /// The timer is at its end: cancelled, or its activation has gone.
    Over,
}

impl<M: Method> NewTimer<M> {
    async fn keep_time(mut self: Box<Self>) {
        loop {
            if !self.sleep().await {
                return;
            }
            match (self.fire().await, self.period) {
                (Fired::Over, _) | (Fired::Done, None) => return,
                (Fired::Full, None) => self.at = Instant::now() + FULL_AGAIN,
                // At a fixed rate; what could not be done in time is left out.
                (_, Some(period)) => {
                    let late = Instant::now().saturating_duration_since(self.at);
                    let periods = late.as_nanos() / period.as_nanos().max(1) + 1;
                    self.at += period.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX));
                }
            }
        }
    }

    /// Sleeps until it is time; false if nothing is to be done any more.
    async fn sleep(&self) -> bool {
        loop {
            if self.cancel.is_cancelled() || self.call.activation().is_none() {
                return false;
            }
            let now = Instant::now();
            if now >= self.at {
                return true;
            }
            tokio::select! {
                () = sleep_until(self.at.min(now + LOOK)) => {}
                () = self.cancel.cancelled() => {}
            }
        }
    }

    async fn fire(&self) -> Fired {
        let Some(activation) = self.call.activation() else { return Fired::Over };
        let mut context = self.call.context(activation.engine());
        let around = match activation.engine().around::<M>(activation.id(), Way::Timer, &mut context) {
            Ok(around) => around,
            Err(refusal) => return Self::fired(&activation, Err(refusal)),
        };
        let entered = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Fired::Over,
            entered = self.call.enter(&activation, &context) => entered,
        };
        let outcome = match entered {
            Ok(None) => return Fired::Over,
            Ok(Some(_)) if self.cancel.is_cancelled() => return Fired::Over,
            Ok(Some(guard)) => around.within(self.call.run(guard, context)).await,
            Err(error) => Err(error),
        };
        around.ended(&outcome);
        Self::fired(&activation, outcome)
    }

    fn fired(activation: &Activation<M::Actor>, outcome: Result<(), CallError<M::Error>>) -> Fired {
        match outcome {
            Ok(()) => Fired::Done,
            Err(CallError::Unavailable(_)) => Fired::Over,
            Err(CallError::Overloaded(_)) => Fired::Full,
            Err(error) => {
                let (actor, method) = (activation.id(), M::NAME);
                tracing::warn!(%actor, method, kind = error.kind(), type_ = M::Actor::TYPE, "a timer's turn failed");
                Fired::Done
            }
        }
    }
}
