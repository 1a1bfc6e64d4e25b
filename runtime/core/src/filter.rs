//! Filters: code around every turn that a node runs (incoming) and around all that it sends to actors (outgoing), whatever
//! the type.
//!
//! A filter sees who is called, with what and on which [`Way`], may add to the request context, may refuse the call, and
//! learns how it ended and how long it took. Filters run in the order in which they were given, and learn of the end in
//! the reverse order; a filter that let a call pass learns of its end in any case, be it refused by a later one or dropped
//! by its caller. What nobody waits for has ended for an outgoing filter when it has been handed over. Filters run on the
//! threads of turns: they must be quick and must not block.
//!
//! **What passes no filter**: what Greenroom's own actors and workflows do for themselves. Nobody has asked for it, so it
//! has no request context that could say for whom it is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use crate::actor::Actor;
use crate::call::{Call, CallContext, Chain};
use crate::engine::INTERNAL;
use crate::error::CallError;
use crate::identity::{ActorId, CallId};
use crate::request::TooLarge;
use crate::topics::Channel;

/// How a filter refuses a call. [`CallError::Refused`] is what suits most; any other error but `App` may be meant.
pub type Refusal = CallError<Infallible>;

/// How a turn is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// A call, whose caller waits for the reply.
    Call,
    /// A message that was told, also by a broadcast.
    Tell,
    /// A reliable message, also one with a delay.
    Reliable,
    /// What comes of a publication to one who listens; see [`FilteredCall::topic`].
    Publication,
    /// The tick of a reminder.
    Reminder,
    /// A timer of the actor.
    Timer,
    /// A tick of the actor's simulation.
    Tick,
}

/// Code around calls. A closure `Fn(&mut FilteredCall) -> Result<(), Refusal>` is one, too.
pub trait Filter: Send + Sync + 'static {
    /// Before the call. An error refuses it.
    ///
    /// # Errors
    /// Whatever the caller is to be told.
    fn before(&self, call: &mut FilteredCall) -> Result<(), Refusal> {
        let _ = call;
        Ok(())
    }

    /// After the call. The outcome is the [kind](CallError::kind) of error if it failed, or `cancelled` if its caller has
    /// dropped it.
    fn after(&self, call: &FilteredCall, outcome: Result<(), &'static str>, took: Duration) {
        let _ = (call, outcome, took);
    }
}

impl<F: Fn(&mut FilteredCall) -> Result<(), Refusal> + Send + Sync + 'static> Filter for F {
    fn before(&self, call: &mut FilteredCall) -> Result<(), Refusal> {
        self(call)
    }
}

/// A call as filters see it.
#[derive(Debug, Clone)]
pub struct FilteredCall {
    target: ActorId,
    method: SmolStr,
    way: Way,
    context: CallContext,
}

impl FilteredCall {
    /// Who is called.
    pub fn target(&self) -> &ActorId {
        &self.target
    }

    /// The wire name of the method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// How the turn is asked for.
    pub fn way(&self) -> Way {
        self.way
    }

    /// The topic, if the actor listens to it and gets this as a [publication](Way::Publication).
    pub fn topic(&self) -> Option<&str> {
        self.context.request.topic()
    }

    /// The call's id.
    pub fn call_id(&self) -> CallId {
        self.context.id
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Instant {
        self.context.deadline
    }

    /// The calls that it is made from; empty if a program makes it.
    pub fn chain(&self) -> &Chain {
        &self.context.chain
    }

    /// A value of the request context.
    pub fn request(&self, name: &str) -> Option<&str> {
        self.context.request.get(name)
    }

    /// Adds to the request context, for this call and all that are made from it.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn set_request(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), TooLarge> {
        self.context.request.set(name, value)
    }
}

/// The filters of one direction, in their order. Cheap to clone.
#[derive(Clone, Default)]
pub struct Filters(Arc<Vec<Arc<dyn Filter>>>);

impl Filters {
    /// Adds a filter behind the others.
    pub fn push(&mut self, filter: impl Filter) {
        Arc::make_mut(&mut self.0).push(Arc::new(filter));
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks the filters, if there are any, and lets them change the request context. What it gives wants to know how the
    /// call ended.
    ///
    /// # Errors
    /// What the filter says that refuses the call.
    pub fn pass<E>(
        &self,
        target: &ActorId,
        method: &SmolStr,
        way: Way,
        context: &mut CallContext,
    ) -> Result<Option<Box<Passed>>, CallError<E>> {
        if self.is_empty() || !is_asked_for(target, method) {
            return Ok(None);
        }
        let way = if context.request.topic().is_some() { Way::Publication } else { way };
        let (target, method) = (target.clone(), method.clone());
        let call = FilteredCall { target, method, way, context: context.clone() };
        let (filters, begun) = (self.clone(), Instant::now());
        let mut passed = Box::new(Passed { filters, asked: 0, call, begun, ended: None });
        for filter in self.0.iter() {
            if let Err(refusal) = filter.before(&mut passed.call) {
                passed.ended = Some(Err(refusal.kind()));
                return Err(refusal.map_app(|never| match never {}));
            }
            passed.asked += 1;
        }
        context.request = passed.call.context.request.clone();
        Ok(Some(passed))
    }

    /// The same for what nobody waits for and is handed over at once.
    ///
    /// # Errors
    /// As [`pass`](Self::pass).
    pub(crate) fn hand_over<E>(&self, call: &mut Call, way: Way) -> Result<(), CallError<E>> {
        if let Some(passed) = self.pass(&call.target, &call.method, way, &mut call.context)? {
            passed.handed_over();
        }
        Ok(())
    }
}

/// What the channel of a topic is asked for by those who publish and listen.
const OF_TOPICS: [&str; 5] = ["publish", "announce", "subscribe", "join", "unsubscribe"];

/// Whether somebody has asked for it: methods with an `@`, and actors of the runtime, are what it does for itself.
fn is_asked_for(target: &ActorId, method: &str) -> bool {
    match target.actor_type.as_str() {
        Channel::TYPE => OF_TOPICS.contains(&method),
        other => !other.starts_with(INTERNAL) && !method.starts_with('@'),
    }
}

/// A call that filters have let pass. When it is dropped they learn of its end.
pub struct Passed {
    filters: Filters,
    asked: usize,
    call: FilteredCall,
    begun: Instant,
    ended: Option<Result<(), &'static str>>,
}

impl Passed {
    /// Tells the filters how the call ended. One that is only dropped was cancelled.
    pub fn ended<T, E>(mut self, outcome: &Result<T, CallError<E>>) {
        self.ended = Some(outcome.as_ref().map(|_| ()).map_err(CallError::kind));
    }

    /// Tells the filters that what nobody waits for has been handed over.
    pub fn handed_over(mut self) {
        self.ended = Some(Ok(()));
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        let outcome = self.ended.unwrap_or(Err("cancelled"));
        let took = self.begun.elapsed();
        for filter in self.filters.0[..self.asked].iter().rev() {
            filter.after(&self.call, outcome, took);
        }
    }
}
