//! The actor of a workflow: what its turns do.
//!
//! **Who may change what**: callers start, signal and cancel; everything else is changed by the current run only. A turn
//! that gives the function something to do writes the workflow's row, and the row's followers see to it.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ledger::{
    Begun, CancelState, Checkpoint, Ended, INPUT, Ledger, OUTCOME, Outcome, Recorded, Run, RunnerId,
    StepStatus, WorkflowState, WorkflowStatus, signal_key,
};
use super::methods::{Forget, SignalValue, Wake, arguments};
use super::{Workflow, WorkflowError, WorkflowRef, check_name};
use crate::actor::{Actor, ActorOptions};
use crate::collections::CollectionError;
use crate::cx::Cx;
use crate::engine::{IN_ORDER, Message, Place};
use crate::error::CallError;
use crate::reference::{ActorRef, Origin};
use crate::rows::{RowChange, Space, actor_prefix};
use crate::schedule::Schedule;

/// How many steps status names.
const STEPS_SHOWN: usize = 1_000;
/// The reminder that ends a suspension.
const WAKE: &str = "wake";
/// The reminder that ends the retention.
const FORGET: &str = "forget";

type Result<T> = std::result::Result<T, WorkflowError>;

/// The actor that keeps what a workflow has done; its type is named as the workflow.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Instance<W> {
    ledger: Ledger,
    #[serde(skip)]
    of: PhantomData<fn() -> W>,
}

impl<W> Default for Instance<W> {
    fn default() -> Self {
        Self { ledger: Ledger::default(), of: PhantomData }
    }
}

impl<W: Workflow> Actor for Instance<W> {
    const TYPE: &'static str = W::NAME;
    const OPTIONS: ActorOptions = ActorOptions::DEFAULT;
    type Ref = WorkflowRef<W>;
}

impl From<CollectionError> for WorkflowError {
    fn from(error: CollectionError) -> Self {
        match error {
            CollectionError::Journal(error) => Self::Store(error.to_string()),
            error => Self::Unfit(error.to_string()),
        }
    }
}

/// What callers ask for.
impl<W: Workflow> Instance<W> {
    pub(super) async fn start(&mut self, cx: &Cx, input: Bytes) -> Result<()> {
        if self.ledger.run.is_some() {
            let first = self.ledger.texts.get(cx, INPUT).await?;
            let same = first.is_some_and(|first| same_input(&first, &input));
            return if same { Ok(()) } else { Err(WorkflowError::OtherInput) };
        }
        self.ledger.texts.insert(cx, INPUT.into(), input).await?;
        self.ledger.run = Some(Run {
            id: cx.call_id(),
            started_unix_ms: now(cx),
            cancel: CancelState::No,
            signals: Default::default(),
            ended: None,
        });
        wanted(cx);
        Ok(())
    }

    pub(super) async fn signal(&mut self, cx: &Cx, name: String, value: SignalValue) -> Result<()> {
        check_name(&name).map_err(WorkflowError::Unfit)?;
        let run = unfinished(&mut self.ledger.run)?;
        let number = run.signals.entry(name.clone()).or_default();
        self.ledger.signals.insert(cx, signal_key(&name, *number), value.into_value()).await?;
        *number += 1;
        wanted(cx);
        Ok(())
    }

    /// What has ended cannot be cancelled, which is no error: the outcome tells.
    pub(super) async fn cancel(&mut self, cx: &Cx) -> Result<()> {
        let run = self.ledger.run.as_mut().ok_or(WorkflowError::NotStarted)?;
        if run.ended.is_none() && run.cancel == CancelState::No {
            run.cancel = CancelState::Wanted;
            wanted(cx);
        }
        Ok(())
    }

    pub(super) async fn outcome(&self, cx: &Cx) -> Result<Option<Outcome<W::Output, W::Error>>> {
        let run = self.ledger.run.as_ref().ok_or(WorkflowError::NotStarted)?;
        if run.ended.is_none() {
            return Ok(None);
        }
        let outcome = self.ledger.texts.get(cx, OUTCOME).await?;
        let missing = || WorkflowError::Store("its outcome is not there".into());
        decode(&outcome.ok_or_else(missing)?).map(Some)
    }

    pub(super) async fn status(&self, cx: &Cx) -> Result<WorkflowStatus> {
        let notes = cx.engine().workflows().notes(cx.actor_id());
        let run = self.ledger.run.as_ref();
        let ended = run.and_then(|run| run.ended.as_ref());
        let state = match (run, ended) {
            (None, _) => WorkflowState::NotStarted,
            (_, Some(ended)) => ended.state,
            (Some(run), _) if run.cancel != CancelState::No => WorkflowState::Cancelling,
            _ if notes.is_none() => WorkflowState::Suspended,
            _ => WorkflowState::Running,
        };
        let (asked, running, trouble) = notes.map(|notes| notes.read()).unwrap_or_default();
        let unused = |name: &String| match ended {
            Some(ended) => ended.unused.contains(name),
            None => !asked.contains(name),
        };
        let steps = self.ledger.steps.page(cx, None::<&str>, STEPS_SHOWN).await?;
        let step = |(name, step): (String, Recorded)| StepStatus {
            unused: unused(&name),
            kind: step.checkpoint.kind().into(),
            at_unix_ms: step.at_unix_ms,
            name,
        };
        Ok(WorkflowStatus {
            state,
            started_unix_ms: run.map(|run| run.started_unix_ms),
            ended_unix_ms: ended.map(|ended| ended.at_unix_ms),
            steps: steps.into_iter().map(step).collect(),
            running,
            signals: run.map(|run| run.signals.clone()).unwrap_or_default(),
            trouble,
        })
    }
}

/// What the current run asks for.
impl<W: Workflow> Instance<W> {
    /// `None`: there is nothing to run.
    pub(super) async fn begin(&self, cx: &Cx) -> Result<Option<Begun>> {
        let Some(run) = self.ledger.run.as_ref().filter(|run| run.ended.is_none()) else { return Ok(None) };
        let input = self.ledger.texts.get(cx, INPUT).await?;
        let input = input.ok_or_else(|| WorkflowError::Store("its input is not there".into()))?;
        let recorded = self.ledger.steps.len();
        Ok(Some(Begun { id: run.id, input, recorded, cancel: run.cancel }))
    }

    pub(super) async fn recorded(&self, cx: &Cx, name: String) -> Result<Option<Checkpoint>> {
        Ok(self.ledger.steps.get(cx, &name).await?.map(|step| step.checkpoint))
    }

    pub(super) async fn received(&self, cx: &Cx, name: String, number: u64) -> Result<Option<Value>> {
        Ok(self.ledger.signals.get(cx, &signal_key(&name, number)).await?)
    }

    pub(super) async fn cancel_state(&self, _cx: &Cx) -> Result<CancelState> {
        Ok(self.ledger.run.as_ref().map_or(CancelState::No, |run| run.cancel))
    }

    /// Records a checkpoint, and sends a message with it. What is recorded already stays.
    pub(super) async fn record(
        &mut self,
        cx: &Cx,
        by: RunnerId,
        name: String,
        checkpoint: Checkpoint,
        message: Option<Message>,
    ) -> Result<()> {
        self.check_runner(cx, by)?;
        let before = self.ledger.steps.get(cx, &name).await?;
        if before.is_some_and(|before| !before.checkpoint.may_become(&checkpoint)) {
            return Ok(());
        }
        self.ledger.steps.insert(cx, name, Recorded { checkpoint, at_unix_ms: now(cx) }).await?;
        if let Some(message) = message {
            let (epoch, number) = (cx.shard().epoch(), cx.shard().next_number());
            cx.change_row(message.row(cx.actor_id(), Place::Numbered { lane: IN_ORDER, epoch, number }));
        }
        Ok(())
    }

    /// The function does not go on: it is cancelled from now on, whatever its code asks for when it is run again.
    pub(super) async fn unwind(&mut self, cx: &Cx, by: RunnerId) -> Result<()> {
        self.check_runner(cx, by)?.cancel = CancelState::InEffect;
        Ok(())
    }

    /// Takes the function out of memory, unless something has come meanwhile. Returns whether it did.
    pub(super) async fn suspend(
        &mut self,
        cx: &Cx,
        by: RunnerId,
        version: u64,
        until_unix_ms: Option<u64>,
    ) -> Result<bool> {
        self.check_runner(cx, by)?;
        if cx.engine().workflows().version(cx.actor_id()) != Some(version) {
            return Ok(false);
        }
        if let Some(due) = until_unix_ms {
            let wake = Self::me(cx).call::<Wake<W>>(arguments::Wake {});
            cx.remind(WAKE, Schedule::once_at(due), wake).map_err(not_set)?;
        }
        cx.change_row(RowChange::remove(Space::WORKFLOW, actor_prefix(cx.actor_id())));
        Ok(true)
    }

    pub(super) async fn finish(
        &mut self,
        cx: &Cx,
        by: RunnerId,
        state: WorkflowState,
        outcome: Bytes,
        used: u64,
    ) -> Result<()> {
        self.check_runner(cx, by)?;
        let unused = if used < self.ledger.steps.len() { self.unused(cx).await? } else { Vec::new() };
        self.ledger.texts.insert(cx, OUTCOME.into(), outcome).await?;
        self.check_runner(cx, by)?.ended = Some(Ended { state, at_unix_ms: now(cx), unused });
        cx.change_row(RowChange::remove(Space::WORKFLOW, actor_prefix(cx.actor_id())));
        cx.forget_reminder(WAKE).map_err(not_set)?;
        let forget = Self::me(cx).call::<Forget<W>>(arguments::Forget {});
        cx.remind(FORGET, Schedule::after(W::RETENTION), forget).map_err(not_set)
    }

    fn check_runner(&mut self, cx: &Cx, by: RunnerId) -> Result<&mut Run> {
        let current = by.epoch == cx.shard().epoch() && cx.engine().workflows().is_current(cx.actor_id(), by);
        let run = self.ledger.run.as_mut().filter(|run| current && run.ended.is_none());
        run.ok_or(WorkflowError::Stale)
    }

    /// The recorded steps that the current run has not asked for.
    async fn unused(&self, cx: &Cx) -> Result<Vec<String>> {
        let notes = cx.engine().workflows().notes(cx.actor_id());
        let (asked, ..) = notes.map(|notes| notes.read()).unwrap_or_default();
        let mut unused = Vec::new();
        let mut steps = self.ledger.steps.iter(cx);
        while let Some((name, _)) = steps.next().await? {
            if !asked.contains(&name) && unused.len() < STEPS_SHOWN {
                unused.push(name);
            }
        }
        Ok(unused)
    }
}

/// What its own reminders ask for.
impl<W: Workflow> Instance<W> {
    pub(super) async fn wake(&mut self, cx: &Cx) -> Result<()> {
        if unfinished(&mut self.ledger.run).is_ok() {
            wanted(cx);
        }
        Ok(())
    }

    pub(super) async fn forget(&mut self, cx: &Cx) -> Result<()> {
        if self.ledger.run.as_ref().is_some_and(|run| run.ended.is_some()) {
            self.ledger.steps.clear(cx).await?;
            self.ledger.signals.clear(cx).await?;
            self.ledger.texts.clear(cx).await?;
            self.ledger.run = None;
        }
        Ok(())
    }

    fn me(cx: &Cx) -> ActorRef<Self> {
        ActorRef::new(Origin::Turn(cx.clone()), cx.key())
    }
}

/// The function has something to do: see [`Runners`](super::Runners).
fn wanted(cx: &Cx) {
    cx.change_row(RowChange::put(Space::WORKFLOW, actor_prefix(cx.actor_id()), Bytes::new()));
}

fn unfinished(run: &mut Option<Run>) -> Result<&mut Run> {
    let run = run.as_mut().ok_or(WorkflowError::NotStarted)?;
    if run.ended.is_some() { Err(WorkflowError::Ended) } else { Ok(run) }
}

fn now(cx: &Cx) -> u64 {
    cx.engine().env().unix_ms()
}

fn not_set(error: CallError) -> WorkflowError {
    WorkflowError::Unfit(error.to_string())
}

/// Whether two inputs are the same, whatever the order of their fields.
fn same_input(one: &[u8], other: &[u8]) -> bool {
    let read = |input: &[u8]| rmp_serde::from_slice::<Value>(input).ok();
    one == other || read(one).is_some_and(|one| read(other) == Some(one))
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    let encoded = rmp_serde::to_vec_named(value);
    encoded.map(Bytes::from).map_err(|error| WorkflowError::Unfit(format!("it cannot be encoded: {error}")))
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T> {
    rmp_serde::from_slice(value).map_err(|error| WorkflowError::Unfit(format!("it cannot be read: {error}")))
}
