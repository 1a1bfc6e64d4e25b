//! The actor of a workflow: what its turns do.
//!
//! **Who may change what**: callers start, signal and cancel; everything else is changed by the current run only. A turn
//! that gives the function something to do writes the workflow's row, and the row's followers see to it.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ledger::{
    Act, Begun, CancelState, Checkpoint, Ended, INPUT, Known, Ledger, OUTCOME, Outcome, Question, Recorded,
    Run, RunnerId, StepStatus, Wish, WorkflowState, WorkflowStatus, signal_key,
};
use super::methods::{Change, SignalValue, arguments};
use super::{Workflow, WorkflowError, WorkflowRef, check_name};
use crate::actor::{Actor, ActorOptions};
use crate::codec::{check_written, read_stored};
use crate::collections::CollectionError;
use crate::cx::Cx;
use crate::engine::{IN_ORDER, Message, Place};
use crate::error::CallError;
use crate::reference::{ActorRef, Call, Origin};
use crate::rows::{RowChange, Space, actor_prefix};
use crate::schedule::Schedule;
use crate::streams::{Feed, Items};

/// How many steps status names.
const STEPS_SHOWN: usize = 1_000;
/// The reminder that ends a suspension.
const WAKE: &str = "wake";
/// The reminder that ends the retention.
const FORGET: &str = "forget";

/// Those who wait for the end.
const END: Feed<()> = Feed::new("end");

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
            request: cx.request_context(),
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

    /// A stream, and not a turn, waits: so the workflow goes on meanwhile.
    pub(super) async fn when_ended(&self, cx: &Cx) -> Result<Items<()>> {
        let run = self.ledger.run.as_ref().ok_or(WorkflowError::NotStarted)?;
        let ended = run.ended.is_some().then_some(());
        END.open_with(cx, ended).map_err(|error| WorkflowError::Store(error.to_string()))
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
        let mut steps: Vec<_> = steps.into_iter().map(step).collect();
        steps.sort_by_key(|step| step.at_unix_ms);
        Ok(WorkflowStatus {
            state,
            started_unix_ms: run.map(|run| run.started_unix_ms),
            ended_unix_ms: ended.map(|ended| ended.at_unix_ms),
            steps,
            running,
            signals: run.map(|run| run.signals.clone()).unwrap_or_default(),
            trouble,
        })
    }
}

/// What the current run asks for.
impl<W: Workflow> Instance<W> {
    pub(super) async fn ask(&self, cx: &Cx, question: Question) -> Result<Known> {
        Ok(match question {
            Question::Begin => Known::Begun(self.begin(cx).await?),
            Question::Recorded { name } => {
                Known::Recorded(self.ledger.steps.get(cx, &name).await?.map(|step| step.checkpoint))
            }
            Question::Received { name, number } => {
                Known::Received(self.ledger.signals.get(cx, &signal_key(&name, number)).await?)
            }
            Question::CancelState => {
                Known::CancelState(self.ledger.run.as_ref().map_or(CancelState::No, |run| run.cancel))
            }
        })
    }

    pub(super) async fn change(&mut self, cx: &Cx, wish: Wish) -> Result<bool> {
        match wish {
            Wish::Run(by, act) => self.act(cx, by, *act).await,
            Wish::Wake => Ok(unfinished(&mut self.ledger.run).is_ok_and(|_| {
                wanted(cx);
                true
            })),
            Wish::Forget => self.forget(cx).await,
        }
    }

    async fn act(&mut self, cx: &Cx, by: RunnerId, act: Act) -> Result<bool> {
        let run = self.check_runner(cx, by)?;
        match act {
            Act::Record { name, checkpoint, message } => self.record(cx, name, checkpoint, message).await,
            Act::Unwind => {
                run.cancel = CancelState::InEffect;
                Ok(true)
            }
            Act::Suspend { version, until_unix_ms } => Self::suspend(cx, version, until_unix_ms),
            Act::Finish { state, outcome, used } => {
                let unused = if used < self.ledger.steps.len() { self.unused(cx).await? } else { Vec::new() };
                self.finish(cx, Ended { state, at_unix_ms: now(cx), unused }, outcome).await
            }
        }
    }

    /// `None`: there is nothing to run.
    async fn begin(&self, cx: &Cx) -> Result<Option<Begun>> {
        let Some(run) = self.ledger.run.as_ref().filter(|run| run.ended.is_none()) else { return Ok(None) };
        let input = self.ledger.texts.get(cx, INPUT).await?;
        let input = input.ok_or_else(|| WorkflowError::Store("its input is not there".into()))?;
        let recorded = self.ledger.steps.len();
        let (id, request) = (run.id, run.request.clone());
        Ok(Some(Begun { id, request, input, recorded, cancel: run.cancel }))
    }

    async fn record(
        &mut self,
        cx: &Cx,
        name: String,
        checkpoint: Checkpoint,
        message: Option<Message>,
    ) -> Result<bool> {
        let before = self.ledger.steps.get(cx, &name).await?;
        if before.is_some_and(|before| !before.checkpoint.may_become(&checkpoint)) {
            return Ok(false);
        }
        self.ledger.steps.insert(cx, name, Recorded { checkpoint, at_unix_ms: now(cx) }).await?;
        if let Some(message) = message {
            let (epoch, number) = (cx.shard().epoch(), cx.shard().next_number());
            cx.change_row(message.row(cx.actor_id(), Place::Numbered { lane: IN_ORDER, epoch, number }));
        }
        Ok(true)
    }

    fn suspend(cx: &Cx, version: u64, until_unix_ms: Option<u64>) -> Result<bool> {
        if cx.engine().workflows().version(cx.actor_id()) != Some(version) {
            return Ok(false);
        }
        if let Some(due) = until_unix_ms {
            cx.remind(WAKE, Schedule::once_at(due), Self::wish(cx, Wish::Wake)).map_err(not_set)?;
        }
        unwanted(cx);
        Ok(true)
    }

    async fn finish(&mut self, cx: &Cx, ended: Ended, outcome: Bytes) -> Result<bool> {
        self.ledger.texts.insert(cx, OUTCOME.into(), outcome).await?;
        unfinished(&mut self.ledger.run)?.ended = Some(ended);
        unwanted(cx);
        END.push(cx, ()).await.map_err(not_set)?;
        END.finish(cx);
        cx.forget_reminder(WAKE).map_err(not_set)?;
        let forget = Self::wish(cx, Wish::Forget);
        cx.remind(FORGET, Schedule::after(W::RETENTION), forget).map_err(not_set)?;
        Ok(true)
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
    async fn forget(&mut self, cx: &Cx) -> Result<bool> {
        if self.ledger.run.as_ref().is_none_or(|run| run.ended.is_none()) {
            return Ok(false);
        }
        self.ledger.steps.clear(cx).await?;
        self.ledger.signals.clear(cx).await?;
        self.ledger.texts.clear(cx).await?;
        self.ledger.run = None;
        Ok(true)
    }

    fn wish(cx: &Cx, wish: Wish) -> Call<Change<W>> {
        ActorRef::<Self>::new(Origin::Turn(cx.clone()), cx.key()).call(arguments::Change { wish })
    }
}

/// The function has something to do: see [`Runners`](super::Runners).
fn wanted(cx: &Cx) {
    cx.change_row(RowChange::put(Space::WORKFLOW, actor_prefix(cx.actor_id()), Bytes::new()));
}

/// Nothing of it is to be run, for now or for good.
fn unwanted(cx: &Cx) {
    cx.change_row(RowChange::remove(Space::WORKFLOW, actor_prefix(cx.actor_id())));
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
    let read = |input: &[u8]| read_stored::<Value>(input).ok();
    one == other || read(one).is_some_and(|one| read(other) == Some(one))
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    let encoded = rmp_serde::to_vec_named(value).and_then(|form| check_written(&form).map(|()| form));
    encoded.map(Bytes::from).map_err(|error| WorkflowError::Unfit(format!("it cannot be encoded: {error}")))
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T> {
    read_stored(value).map_err(|error| WorkflowError::Unfit(format!("it cannot be read: {error}")))
}
