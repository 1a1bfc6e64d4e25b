//! Runs the function of one workflow until it ends or only waits for long.
//!
//! A function that panics, or asks for what cannot be, is begun again after a pause, longer each time; what it has recorded
//! it does not do again. When it returns an error or stops because it is cancelled, what it has asked to undo is undone;
//! then the outcome is recorded.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::watch;

use super::course::{Answer, Course, Halt, Memory};
use super::flow::{Flow, comes_and_goes, pause};
use super::instance::{Instance, decode, encode};
use super::ledger::{
    Act, Begun, CancelState, Checkpoint, Known, Outcome, Question, RunnerId, Wish, WorkflowState,
};
use super::methods::{Ask, Change, arguments};
use super::runners::Assignment;
use super::step::Step;
use super::{Workflow, WorkflowError};
use crate::actor::Method;
use crate::engine::{Core, Message};
use crate::error::CallError;
use crate::identity::ActorId;
use crate::reference::{ActorRef, Call, Origin};

/// A function that only waits for this long is taken out of memory.
const SUSPEND_AFTER: Duration = Duration::from_secs(10);

/// How a run ended.
enum End<W: Workflow> {
    Outcome(Outcome<W::Output, W::Error>),
    /// The outcome is recorded.
    Finished,
    /// It is out of memory until its wait ends.
    Suspended,
    Overtaken,
    /// It is to be begun again.
    Trouble(String),
}

/// Runs the function until there is nothing more to run here.
pub(super) async fn run<W: Workflow>(assignment: Assignment) {
    let Assignment { id, engine, actor, changes, notes } = assignment;
    let owner = Owner::<W>::new(&engine, &actor, id);
    let mut failures = 0;
    loop {
        // The answer waits for what it saw (I3): nothing runs before its start is durable.
        let begun = match owner.begin().await {
            Ok(Some(begun)) => begun,
            Ok(None) => return engine.workflows().done(&actor, id),
            Err(error) => {
                notes.trouble(Some(error.to_string()));
                failures += 1;
                tokio::time::sleep(pause(failures)).await;
                continue;
            }
        };
        let course = Course::new(
            engine.clone(),
            actor.key.to_string(),
            &begun,
            changes.clone(),
            notes.clone(),
            Box::new(owner.clone()),
        );
        let flow = Flow::new(Arc::new(course));
        let end = match run_once::<W>(&flow, &owner, &begun, changes.clone()).await {
            End::Outcome(outcome) => finish(&flow, &owner, outcome.state(), encode(&outcome)).await,
            end => end,
        };
        match end {
            End::Outcome(_) | End::Finished | End::Suspended | End::Overtaken => return,
            End::Trouble(what) => {
                tracing::warn!(%actor, what, "a workflow's function cannot go on; it is begun again");
                notes.trouble(Some(what));
                failures = if flow.course().is_ahead() { 1 } else { failures + 1 };
                tokio::time::sleep(pause(failures)).await;
            }
        }
    }
}

/// Runs the function, and what undoes it, from the beginning.
async fn run_once<W: Workflow>(
    flow: &Flow,
    owner: &Owner<W>,
    begun: &Begun,
    changes: watch::Receiver<u64>,
) -> End<W> {
    let course = flow.course();
    let input = match decode(&begun.input) {
        Ok(input) => input,
        Err(error) => return End::Trouble(format!("its input: {error}")),
    };
    let outcome = {
        let function = AssertUnwindSafe(W::run(flow.clone(), input)).catch_unwind();
        tokio::select! {
            biased;
            ended = function => match ended {
                Ok(Ok(output)) => return End::Outcome(Outcome::Completed(output)),
                Ok(Err(error)) => Ok(Outcome::Failed(error)),
                Err(panic) => Err(format!("the function panicked: {}", panic_message(&*panic))),
            },
            halt = course.halted() => match halt {
                Halt::Cancelled => Ok(Outcome::Cancelled),
                Halt::Broken(what) => Err(what),
                Halt::Overtaken => return End::Overtaken,
            },
            end = suspended(course, owner) => return end,
            end = watch_cancel(course, owner, changes) => return end,
        }
    };
    // Whoever cancels what cannot go on does not want to wait for better code.
    let outcome = match outcome {
        Err(_) if course.cancel_state() != CancelState::No => Outcome::Cancelled,
        Err(what) => return End::Trouble(what),
        Ok(outcome) => outcome,
    };
    if matches!(outcome, Outcome::Cancelled)
        && course.cancel_state() != CancelState::InEffect
        && let Err(error) = owner.act(Act::Unwind).await
    {
        return not_recorded(error);
    }
    undo(flow, outcome).await
}

/// Undoes what the function has asked to undo.
async fn undo<W: Workflow>(flow: &Flow, outcome: Outcome<W::Output, W::Error>) -> End<W> {
    let undone = AssertUnwindSafe(async {
        for undo in flow.course().unwind() {
            undo(flow.clone()).await;
        }
    });
    tokio::select! {
        biased;
        undone = undone.catch_unwind() => match undone {
            Ok(()) => End::Outcome(outcome),
            Err(panic) => End::Trouble(format!("a compensation panicked: {}", panic_message(&*panic))),
        },
        halt = flow.course().halted() => match halt {
            Halt::Overtaken => End::Overtaken,
            Halt::Broken(what) => End::Trouble(what),
            Halt::Cancelled => End::Trouble("a compensation was cancelled".into()),
        },
    }
}

async fn finish<W: Workflow>(
    flow: &Flow,
    owner: &Owner<W>,
    state: WorkflowState,
    outcome: Result<Bytes, WorkflowError>,
) -> End<W> {
    let recorded = match outcome {
        Ok(outcome) => {
            let used = flow.course().used();
            owner.act(Act::Finish { state, outcome, used }).await
        }
        Err(error) => Err(error),
    };
    recorded.map_or_else(not_recorded, |_| End::Finished)
}

fn not_recorded<W: Workflow>(error: WorkflowError) -> End<W> {
    match error {
        WorkflowError::Unfit(_) | WorkflowError::Store(_) => End::Trouble(error.to_string()),
        _ => End::Overtaken,
    }
}

/// Returns when the function has been taken out of memory because it only waits.
async fn suspended<W: Workflow>(course: &Course, owner: &Owner<W>) -> End<W> {
    loop {
        let before = course.activity();
        tokio::time::sleep(SUSPEND_AFTER).await;
        let Some(until) = course.waits_until().filter(|_| course.activity() == before) else { continue };
        let soon = course.engine.env().unix_ms() + SUSPEND_AFTER.as_millis() as u64;
        if until.is_some_and(|until| until <= soon) {
            continue;
        }
        let (_, version) = before;
        match owner.act(Act::Suspend { version, until_unix_ms: until }).await {
            Ok(true) => return End::Suspended,
            Ok(false) => {}
            Err(error) => return not_recorded(error),
        }
    }
}

/// Tells the function when it is cancelled; returns when the run is overtaken.
async fn watch_cancel<W: Workflow>(
    course: &Course,
    owner: &Owner<W>,
    mut changes: watch::Receiver<u64>,
) -> End<W> {
    while changes.changed().await.is_ok() {
        match owner.cancel_state().await {
            Ok(state) if state != course.cancel_state() => course.set_cancel_state(state),
            Ok(_) | Err(WorkflowError::Store(_)) => {}
            Err(_) => return End::Overtaken,
        }
    }
    // The table has dropped this run: it is ending by itself, or about to be dropped.
    std::future::pending().await
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The workflow's actor, asked by its run.
struct Owner<W> {
    engine: Arc<Core>,
    key: Arc<str>,
    id: RunnerId,
    of: PhantomData<fn() -> W>,
}

impl<W> Clone for Owner<W> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), key: self.key.clone(), id: self.id, of: PhantomData }
    }
}

impl<W: Workflow> Owner<W> {
    fn new(engine: &Arc<Core>, actor: &ActorId, id: RunnerId) -> Self {
        Self { engine: engine.clone(), key: (&*actor.key).into(), id, of: PhantomData }
    }

    /// Calls until there is an answer. Every question may be asked twice, and every wish be said twice.
    async fn call<M>(&self, arguments: impl Fn() -> M::Arguments) -> Result<M::Reply, WorkflowError>
    where
        M: Method<Actor = Instance<W>, Error = WorkflowError>,
    {
        let origin = Origin::Step(Step::unique(self.engine.clone()));
        let actor = ActorRef::<Instance<W>>::new(origin, &self.key);
        for failures in 1.. {
            let call: Call<M> = actor.call(arguments());
            match call.await {
                Ok(reply) => return Ok(reply),
                Err(CallError::App(error)) => return Err(error),
                Err(error) if comes_and_goes(&error) => tokio::time::sleep(pause(failures)).await,
                Err(error) => return Err(WorkflowError::Store(error.to_string())),
            }
        }
        unreachable!("it is called until there is an answer")
    }

    async fn ask(&self, question: Question) -> Result<Known, WorkflowError> {
        self.call::<Ask<W>>(|| arguments::Ask { question: question.clone() }).await
    }

    async fn act(&self, act: Act) -> Result<bool, WorkflowError> {
        let wish = Wish::Run(self.id, Box::new(act));
        self.call::<Change<W>>(|| arguments::Change { wish: wish.clone() }).await
    }

    async fn begin(&self) -> Result<Option<Begun>, WorkflowError> {
        match self.ask(Question::Begin).await? {
            Known::Begun(begun) => Ok(begun),
            _ => Err(other_answer()),
        }
    }

    async fn cancel_state(&self) -> Result<CancelState, WorkflowError> {
        match self.ask(Question::CancelState).await? {
            Known::CancelState(state) => Ok(state),
            _ => Err(other_answer()),
        }
    }
}

fn other_answer() -> WorkflowError {
    WorkflowError::Store("the answer belongs to another question".into())
}

impl<W: Workflow> Memory for Owner<W> {
    fn recorded(&self, name: String) -> Answer<Option<Checkpoint>> {
        let owner = self.clone();
        let answer = async move {
            match owner.ask(Question::Recorded { name }).await? {
                Known::Recorded(checkpoint) => Ok(checkpoint),
                _ => Err(other_answer()),
            }
        };
        answer.boxed()
    }

    fn received(&self, name: String, number: u64) -> Answer<Option<Value>> {
        let owner = self.clone();
        let answer = async move {
            match owner.ask(Question::Received { name, number }).await? {
                Known::Received(value) => Ok(value),
                _ => Err(other_answer()),
            }
        };
        answer.boxed()
    }

    fn record(&self, name: String, checkpoint: Checkpoint, message: Option<Message>) -> Answer<()> {
        let owner = self.clone();
        let answer = async move { owner.act(Act::Record { name, checkpoint, message }).await.map(drop) };
        answer.boxed()
    }
}
