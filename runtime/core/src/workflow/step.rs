//! The calls of one step. **Invariant** (I4): a step that is repeated, in this run or a later one, makes the same calls
//! with the same ids: an id is made from the workflow's start, the step's name and the call's place in the step.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Instance, Workflow, WorkflowRef};
use crate::actor::Actor;
use crate::engine::Core;
use crate::identity::CallId;
use crate::reference::{ActorRef, Origin};
use crate::request::RequestContext;

/// Calls actors for a step of a workflow. A cheap clone.
#[derive(Clone)]
pub struct Step(Arc<Inner>);

struct Inner {
    engine: Arc<Core>,
    id: CallId,
    /// What the call carried that started the workflow.
    request: RequestContext,
    /// How many calls the step has made.
    calls_made: AtomicU64,
}

impl Step {
    pub(crate) fn new(engine: Arc<Core>, id: CallId, request: RequestContext) -> Self {
        Self(Arc::new(Inner { engine, id, request, calls_made: AtomicU64::new(0) }))
    }

    /// A step that no other one is, for calls that need not be the same again.
    pub(super) fn unique(engine: Arc<Core>) -> Self {
        let id = CallId(engine.env().random());
        Self::new(engine, id, RequestContext::default())
    }

    /// The id of the step with this name in the workflow that was started with this call.
    pub(super) fn id_of(start: CallId, name: &str) -> CallId {
        CallId::named(&format!("{start} step {name}"))
    }

    /// A reference to an actor. Its calls have ids that are the same when the step is repeated, so they are applied once;
    /// therefore make them in the same order, with the same arguments.
    pub fn actor<A: Actor>(&self, key: impl AsRef<str>) -> A::Ref {
        ActorRef::new(Origin::Step(self.clone()), key.as_ref()).into()
    }

    /// A reference to another workflow.
    pub fn workflow<W: Workflow>(&self, key: impl AsRef<str>) -> WorkflowRef<W> {
        self.actor::<Instance<W>>(key)
    }

    /// The same whenever the step is repeated, and of no other step: what services outside take to recognise a request
    /// that comes again (an idempotency key).
    pub fn id(&self) -> CallId {
        self.0.id
    }

    pub(crate) fn engine(&self) -> &Arc<Core> {
        &self.0.engine
    }

    pub(crate) fn request_context(&self) -> RequestContext {
        self.0.request.clone()
    }

    /// The place of the next call among those of the step.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.0.calls_made.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.0.id)
    }
}
