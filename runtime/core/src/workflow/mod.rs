//! Workflows: one async function as an actor, with explicit checkpoints that it resumes from.
//!
//! A workflow's function runs on the owner of its actor, outside of turns, for as long as it likes. What it has done is
//! recorded by name in the actor; a function that is run again (after a crash, a move, a roll) gets what is recorded
//! instead of doing it once more, and so comes back to where it was.
//!
//! - `instance`: the actor: input, checkpoints, signals and outcome; `ledger`: what is stored of them; `methods`: how it
//!   is called.
//! - `runners`: which functions run on this node. **A row of [`Space::WORKFLOW`] means: run it here.**
//! - `runner`: runs one function until it ends, or has only long waits left.
//! - `flow`: what the function sees; `waits`: its sleeps, signals and timeouts; `course`: how far one run has come.
//! - `step`: the calls of one step, whose ids are the same whenever the step is repeated.
//! - `handle`: how workflows are started and asked for their result.
//! - `forms`: all that is stored and sent of them, for the fuzz targets.
//!
//! **Invariants.** Every commit of a run is made by the actor's owner in a turn that has checked that the run is the
//! current one of this epoch: a run that was overtaken can record nothing. The function goes on behind a step only when
//! the step's record is durable. An unfinished workflow has its row, or has only waits that a reminder or a signal ends.

mod course;
mod flow;
pub(crate) mod forms;
mod handle;
mod instance;
mod ledger;
mod methods;
mod runner;
mod runners;
mod step;
mod waits;

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub use flow::Flow;
pub use handle::{NoResult, WorkflowRef};
pub use instance::Instance;
pub use ledger::{Outcome, StepInProgress, StepStatus, WorkflowState, WorkflowStatus};
pub use methods::{Cancel, GetOutcome, GetStatus, Signal, SignalValue, Start, StartArguments};
pub use step::Step;
pub use waits::{Elapsed, SignalError};

pub(crate) use runners::{Launchers, Runners};

use crate::engine::EngineBuilder;
#[cfg(doc)]
use crate::rows::Space;

/// The longest name of a step or a signal, in bytes.
pub const MAX_STEP_NAME_BYTES: usize = 128;
/// How long the result of a workflow is kept unless it says otherwise.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(7 * 24);

/// A workflow: what `#[workflow]` makes of an async function.
pub trait Workflow: Send + Sync + Sized + 'static {
    /// The name of its actor type on the wire and in the store.
    const NAME: &'static str;
    /// How long the result, the steps and the signals are kept after the end. Then the key can be used anew.
    const RETENTION: Duration = DEFAULT_RETENTION;
    /// What it is started with.
    type Input: Serialize + DeserializeOwned + Send + 'static;
    /// What it gives when it is completed.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// Its own error.
    type Error: Serialize + DeserializeOwned + Send + 'static;

    /// Runs the function from its beginning. It may be run many times; see [`Flow`] for what must be in steps.
    fn run(
        flow: Flow,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Self::Error>> + Send + 'static;
}

/// Why a workflow does not take a call.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowError {
    /// There is none with this key, or not any more.
    #[error("the workflow has not been started, or its result is not kept any more; start it")]
    NotStarted,
    /// It was started before with something else.
    #[error("the workflow was started with another input before; give each workflow a key of its own")]
    OtherInput,
    /// It takes no signals any more.
    #[error("the workflow has ended; ask for its result")]
    Ended,
    /// The run is not the current one: another node or a later run has taken over.
    #[error("this run of the workflow has been overtaken; it ends by itself")]
    Stale,
    /// What is to be kept cannot be: it is too large, cannot be encoded, or its name is none.
    #[error("the workflow cannot keep it: {0}")]
    Unfit(String),
    /// The store cannot be read.
    #[error("the workflow cannot be read: {0}; try again")]
    Store(String),
}

impl EngineBuilder {
    /// Serves this workflow: its actor type, and its functions.
    ///
    /// # Panics
    /// As [`register`](Self::register): if another type has the same name.
    pub fn workflow<W: Workflow>(mut self) -> Self {
        self.launchers.add::<W>();
        self.register::<Instance<W>>()
    }
}

/// A name that a step or a signal may have.
fn check_name(name: &str) -> Result<(), String> {
    match name.len() {
        1..=MAX_STEP_NAME_BYTES => Ok(()),
        bytes => Err(format!("the name {name:?} has {bytes} bytes; use 1 to {MAX_STEP_NAME_BYTES}")),
    }
}
