//! What is stored of a workflow, and what it tells about itself.
//!
//! What is large or many (input, outcome, checkpoints, signals) is in maps, so that a checkpoint's commit stays small.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::collections::Map;
use crate::engine::Message;
use crate::identity::{CallId, Epoch};
use crate::request::RequestContext;

/// The key of the input among the texts.
pub(super) const INPUT: &str = "input";
/// The key of the outcome among the texts.
pub(super) const OUTCOME: &str = "outcome";

/// The state of a workflow's actor.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// `None`: it was never started, or is forgotten.
    pub(super) run: Option<Run>,
    /// By name.
    pub(super) steps: Map<String, Recorded>,
    /// By name and number, see [`signal_key`].
    pub(super) signals: Map<String, Value>,
    /// Input and outcome, encoded.
    pub(super) texts: Map<String, Bytes>,
}

/// What is small.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Run {
    /// Of the call that started it: what the ids of all its calls are made from.
    pub(super) id: CallId,
    /// What that call carried: the calls of the steps carry the same.
    #[serde(default, skip_serializing_if = "RequestContext::is_empty")]
    pub(super) request: RequestContext,
    pub(super) started_unix_ms: u64,
    pub(super) cancel: CancelState,
    /// How many signals of each name have come.
    pub(super) signals: BTreeMap<String, u64>,
    pub(super) ended: Option<Ended>,
}

/// How it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) state: WorkflowState,
    pub(super) at_unix_ms: u64,
    /// Recorded steps that the last run did not ask for.
    pub(super) unused: Vec<String>,
}

/// How far a cancellation has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CancelState {
    #[default]
    No,
    /// Steps that may have begun are finished; nothing else begins.
    Wanted,
    /// The function does not go on: what it has done is being compensated.
    InEffect,
}

/// Something that a function has done, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Checkpoint {
    /// A step gave this, encoded.
    Done(Bytes),
    /// A message was sent.
    Sent,
    /// A sleep or a timeout is over then, milliseconds since 1970.
    Until(u64),
    /// How a timeout ended: in time or not.
    Decided { in_time: bool },
}

impl Checkpoint {
    /// What status calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Done(_) => "step",
            Self::Sent => "message",
            Self::Until(_) => "wait",
            Self::Decided { .. } => "timeout",
        }
    }

    /// Whether a later checkpoint of this name may take its place.
    pub(super) fn may_become(&self, later: &Self) -> bool {
        matches!((self, later), (Self::Until(_), Self::Decided { .. }))
    }
}

/// A checkpoint and when it was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) checkpoint: Checkpoint,
    pub(super) at_unix_ms: u64,
}

/// One run of a workflow's function. Numbers of one epoch only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunnerId {
    pub(super) epoch: Epoch,
    pub(super) number: u64,
}

/// What a run begins with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) id: CallId,
    #[serde(default, skip_serializing_if = "RequestContext::is_empty")]
    pub(super) request: RequestContext,
    pub(super) input: Bytes,
    /// How many checkpoints there are.
    pub(super) recorded: u64,
    pub(super) cancel: CancelState,
}

/// What a run asks its workflow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Question {
    Begin,
    Recorded { name: String },
    Received { name: String, number: u64 },
    CancelState,
}

/// The answers, in the order of the questions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Known {
    /// `None`: there is nothing to run.
    Begun(Option<Begun>),
    Recorded(Option<Checkpoint>),
    Received(Option<Value>),
    CancelState(CancelState),
}

/// What is to be changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Wish {
    /// What the current run does.
    Run(RunnerId, Box<Act>),
    /// A suspension is over.
    Wake,
    /// The retention is over.
    Forget,
}

/// What a run does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Act {
    /// Records a checkpoint, and sends a message with it. What is recorded already stays.
    Record { name: String, checkpoint: Checkpoint, message: Option<Message> },
    /// The function does not go on: it is cancelled from now on, whatever its code asks for when it is run again.
    Unwind,
    /// Takes the function out of memory, unless something has come since `version`.
    Suspend { version: u64, until_unix_ms: Option<u64> },
    /// Ends it. `used` is how many checkpoints the run has used.
    Finish { state: WorkflowState, outcome: Bytes, used: u64 },
}

/// The key of the `number`th signal of this name, from 0.
pub(super) fn signal_key(name: &str, number: u64) -> String {
    format!("{name}/{number:010}")
}

/// How a workflow ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome<T, E> {
    /// The function gave this.
    Completed(T),
    /// The function returned this error, and what it had done is compensated.
    Failed(E),
    /// It was cancelled, and what it had done is compensated.
    Cancelled,
}

impl<T, E> Outcome<T, E> {
    pub(super) fn state(&self) -> WorkflowState {
        match self {
            Self::Completed(_) => WorkflowState::Completed,
            Self::Failed(_) => WorkflowState::Failed,
            Self::Cancelled => WorkflowState::Cancelled,
        }
    }
}

/// Where a workflow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowState {
    /// There is none with this key, or not any more.
    NotStarted,
    /// Its function runs.
    Running,
    /// Its function is not in memory: it waits for a time or a signal.
    Suspended,
    /// It is to be cancelled.
    Cancelling,
    /// It gave its result.
    Completed,
    /// It returned an error.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// What a workflow tells about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowStatus {
    /// Where it is.
    pub state: WorkflowState,
    /// When it was started, milliseconds since 1970.
    pub started_unix_ms: Option<u64>,
    /// When it ended.
    pub ended_unix_ms: Option<u64>,
    /// What is recorded, in the order in which it was; at most 1,000 of them, the first by name.
    pub steps: Vec<StepStatus>,
    /// The steps that run now.
    pub running: Vec<StepInProgress>,
    /// How many signals of each name have come.
    pub signals: BTreeMap<String, u64>,
    /// Why the function does not come further, if it panicked or cannot go on.
    pub trouble: Option<String>,
}

/// A step that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStatus {
    /// Its name.
    pub name: String,
    /// `step`, `message`, `wait` or `timeout`.
    pub kind: String,
    /// When it was recorded, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The newest run of the function has not asked for it: not yet, or it was made by an earlier version of the code.
    pub unused: bool,
}

/// A step that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepInProgress {
    /// Its name.
    pub name: String,
    /// How often it has failed.
    pub failures: u32,
    /// How it failed last.
    pub last_error: Option<String>,
}
