//! How workflows are started, told something, and asked for their result.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use super::ledger::Outcome;
use super::methods::{
    Cancel, GetOutcome, GetStatus, Signal, SignalValue, Start, StartArguments, WhenEnded, arguments,
};
use super::{Instance, Workflow, WorkflowError};
use crate::cx::Cx;
use crate::error::CallError;
use crate::reference::{ActorRef, Call, Origin};
use crate::streams::StreamCall;

/// Who waits for a result and has lost the workflow asks for it again after this time, and then after twice the time each.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// At most so long between two questions.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A reference to the workflow with a certain key. Cheap to clone.
///
/// Its calls are calls of the workflow's actor: they can be awaited, told, and sent reliably.
pub struct WorkflowRef<W>(ActorRef<Instance<W>>);

impl<W> Clone for WorkflowRef<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W> From<ActorRef<Instance<W>>> for WorkflowRef<W> {
    fn from(reference: ActorRef<Instance<W>>) -> Self {
        Self(reference)
    }
}

impl<W> fmt::Debug for WorkflowRef<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reference to a workflow")
    }
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoResult<E> {
    /// The function returned this error, and what it had done is compensated.
    #[error("the workflow failed: {0}")]
    Failed(E),
    /// It was cancelled, and what it had done is compensated.
    #[error("the workflow was cancelled")]
    Cancelled,
    /// It cannot be asked, or was never started.
    #[error(transparent)]
    Call(#[from] CallError<WorkflowError>),
}

impl<W: Workflow> WorkflowRef<W> {
    /// A reference to the workflow with this key.
    pub fn new(origin: Origin, key: &str) -> Self {
        Self(ActorRef::new(origin, key))
    }

    /// Starts it. When the call has succeeded, the workflow is durable and will come to its end. Started again with the
    /// same input it is the same workflow.
    ///
    /// # Errors
    /// `OtherInput` if it was started with another input.
    pub fn start(&self, input: W::Input) -> Call<Start<W>> {
        self.0.call(StartArguments { input })
    }

    /// Gives it something that its function waits for with [`Flow::wait_for`](super::Flow::wait_for). Signals of one name
    /// are kept in their order until the function asks for them. The value must be one that JSON can express.
    ///
    /// # Errors
    /// `NotStarted`, `Ended`.
    pub fn signal<T: Serialize + ?Sized>(&self, name: impl Into<String>, value: &T) -> Call<Signal<W>> {
        self.0.call(arguments::Signal { name: name.into(), value: SignalValue::new(value) })
    }

    /// Cancels it: steps that have begun are finished, nothing else begins, and what the function has asked to
    /// [`compensate`](super::Flow::compensate) is. A workflow that has ended stays as it ended.
    ///
    /// # Errors
    /// `NotStarted`.
    pub fn cancel(&self) -> Call<Cancel<W>> {
        self.0.call(arguments::Cancel {})
    }

    /// How far it is.
    pub fn status(&self) -> Call<GetStatus<W>> {
        self.0.call(arguments::GetStatus {})
    }

    /// How it ended; `None` if it has not.
    ///
    /// # Errors
    /// `NotStarted`.
    pub fn outcome(&self) -> Call<GetOutcome<W>> {
        self.0.call(arguments::GetOutcome {})
    }

    /// Waits until it has ended, however long that takes, and gives its result. One call to the workflow stays open and is
    /// answered when it ends; if its node goes away, the next owner is asked. A turn waits until its own deadline at most, a
    /// program as long as it likes: dropping the future changes nothing.
    ///
    /// # Errors
    /// See [`NoResult`]; a workflow that was never started, or is forgotten, is `NotStarted`.
    pub async fn result(&self) -> Result<W::Output, NoResult<W::Error>> {
        let mut wait = FIRST_PAUSE;
        loop {
            match self.when_ended().await {
                Ok(Some(Outcome::Completed(output))) => return Ok(output),
                Ok(Some(Outcome::Failed(error))) => return Err(NoResult::Failed(error)),
                Ok(Some(Outcome::Cancelled)) => return Err(NoResult::Cancelled),
                // It has moved, or too many wait for it.
                Ok(None)
                | Err(CallError::App(WorkflowError::Store(_)))
                | Err(CallError::Unavailable(_) | CallError::Overloaded(_) | CallError::Timeout { .. }) => {}
                Err(error) => return Err(NoResult::Call(error)),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_PAUSE);
        }
    }

    /// How it ended, when it has; `None` if whoever was to say it has gone.
    async fn when_ended(&self) -> Result<Option<Outcome<W::Output, W::Error>>, CallError<WorkflowError>> {
        let mut end = StreamCall::new(self.0.call::<WhenEnded<W>>(arguments::WhenEnded {})).await?;
        match end.next().await {
            Some(Ok(())) => self.outcome().await,
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// Starts it and waits for its result.
    pub async fn run(&self, input: W::Input) -> Result<W::Output, NoResult<W::Error>> {
        self.start(input).await?;
        self.result().await
    }
}

impl Cx {
    /// A reference to a workflow. `cx.reliable(cx.workflow::<order>(key).start(input))` starts it if and only if this turn
    /// is committed.
    pub fn workflow<W: Workflow>(&self, key: impl AsRef<str>) -> WorkflowRef<W> {
        WorkflowRef::new(Origin::Turn(self.clone()), key.as_ref())
    }
}
