//! What is around a turn, however it is asked for: the incoming filters, and its span.

use std::future::Future;

use smol_str::SmolStr;
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span};

use super::Core;
use super::turn;
use crate::actor::Method;
use crate::call::CallContext;
use crate::error::CallError;
use crate::filter::{Passed, Way};
use crate::identity::ActorId;
use crate::trace;

/// The surroundings of one turn. Dropping them without [`ended`](Self::ended) tells the filters that it was cancelled.
pub(super) struct Around {
    passed: Option<Box<Passed>>,
    span: Span,
}

impl Around {
    /// The turn, within its span.
    pub(super) fn within<F: Future>(&self, turn: F) -> Instrumented<F> {
        turn.instrument(self.span.clone())
    }

    /// The turn's span.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Tells the filters how the turn ended.
    pub(super) fn ended<T, E>(self, outcome: &Result<T, CallError<E>>) {
        if let Some(passed) = self.passed {
            passed.ended(outcome);
        }
    }
}

impl Core {
    /// Asks the incoming filters, which may change the request context, and begins the turn's span. A call that is refused
    /// is counted.
    pub(super) fn around<M: Method>(
        &self,
        target: &ActorId,
        way: Way,
        context: &mut CallContext,
    ) -> Result<Around, CallError<M::Error>> {
        let passed = match self.incoming.is_empty() {
            true => None,
            false => match self.incoming.pass(target, &SmolStr::new_static(M::NAME), way, context) {
                Ok(passed) => passed,
                Err(refusal) => return self.answered::<M, _>(Err(refusal)),
            },
        };
        let span = turn::span::<M>(target);
        trace::link(&span, way, &mut context.request);
        Ok(Around { passed, span })
    }
}
