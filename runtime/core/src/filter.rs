//! Filters: code around every call that a node makes (outgoing) or answers (incoming), whatever its type.
//!
//! A filter sees who is called and how, may add to the request context, may refuse the call, and learns how it ended and
//! how long it took. Filters run in the order in which they were given, and learn of the end in the reverse order; a
//! filter that let a call pass learns of its end in any case, be it refused by a later one or dropped by its caller.
//! They run on the threads of turns: they must be quick and must not block.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::{CallContext, Chain};
use crate::error::CallError;
use crate::identity::{ActorId, CallId};
use crate::request::TooLarge;

/// How a filter refuses a call. [`CallError::Refused`] is what suits most; any other error but `App` may be meant.
pub type Refusal = CallError<Infallible>;

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
    method: &'static str,
    context: CallContext,
}

impl FilteredCall {
    /// Who is called.
    pub fn target(&self) -> &ActorId {
        &self.target
    }

    /// The wire name of the method.
    pub fn method(&self) -> &str {
        self.method
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

/// The filters of one direction, in their order.
#[derive(Clone, Default)]
pub(crate) struct Filters(Arc<Vec<Box<dyn Filter>>>);

impl Filters {
    pub(crate) fn push(&mut self, filter: Box<dyn Filter>) {
        Arc::get_mut(&mut self.0).expect("filters are given before the engine is built").push(filter);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks the filters, if there are any, and lets them change the request context. What it gives wants to know how the
    /// call ended.
    pub(crate) fn pass<E>(
        &self,
        target: &ActorId,
        method: &'static str,
        context: &mut CallContext,
    ) -> Result<Option<Passed>, CallError<E>> {
        if self.is_empty() {
            return Ok(None);
        }
        let call = FilteredCall { target: target.clone(), method, context: context.clone() };
        let mut passed = Passed { filters: self.clone(), asked: 0, call, begun: Instant::now(), ended: None };
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
}

/// A call that filters have let pass. When it is dropped they learn of its end.
pub(crate) struct Passed {
    filters: Filters,
    asked: usize,
    call: FilteredCall,
    begun: Instant,
    ended: Option<Result<(), &'static str>>,
}

impl Passed {
    pub(crate) fn ended<T, E>(mut self, outcome: &Result<T, CallError<E>>) {
        self.ended = Some(outcome.as_ref().map(|_| ()).map_err(CallError::kind));
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
