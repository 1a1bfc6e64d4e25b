//! How far one run of a function has come: what it has asked for, what it waits for, and why it must stop.
//!
//! **When a cancelled function stops.** A step whose record is missing may have begun in an earlier run, so its effects may
//! be there. Hence the first steps behind what is recorded are finished even if the workflow is cancelled; whatever comes
//! behind a step that this run has done is refused. Waits have no effects and are refused at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use super::flow::Flow;
use super::ledger::{Begun, CancelState, Checkpoint};
use super::runners::Notes;
use super::{WorkflowError, check_name};
use crate::engine::{Core, Message};
use crate::identity::CallId;
use crate::request::RequestContext;

/// The actor of a workflow, as its function's run sees it. Each question waits until the actor can be reached.
pub(super) trait Memory: Send + Sync {
    fn recorded(&self, name: String) -> Answer<Option<Checkpoint>>;
    fn received(&self, name: String, number: u64) -> Answer<Option<Value>>;
    fn record(&self, name: String, checkpoint: Checkpoint, message: Option<Message>) -> Answer<()>;
}

/// What the actor answers.
pub(super) type Answer<T> = BoxFuture<'static, Result<T, WorkflowError>>;

/// Something to undo. It does not end before it has succeeded.
pub(super) type Undo = Box<dyn FnOnce(Flow) -> BoxFuture<'static, ()> + Send>;

/// Why a function does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Halt {
    /// It is cancelled, and has come to where nothing more of it begins.
    Cancelled,
    /// It asks for something that cannot be. It is tried again later, perhaps by better code.
    Broken(String),
    /// Another run has taken over.
    Overtaken,
}

/// What is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Work {
    /// Steps that run or are being recorded.
    steps: usize,
    /// Questions to the actor.
    questions: usize,
}

/// The course of one run.
pub(super) struct Course {
    pub(super) engine: Arc<Core>,
    pub(super) key: String,
    /// Of the call that started the workflow.
    pub(super) start: CallId,
    /// What that call carried.
    pub(super) request: RequestContext,
    pub(super) changes: watch::Receiver<u64>,
    notes: Arc<Notes>,
    memory: Box<dyn Memory>,
    /// How many checkpoints this run has not come to.
    missing: AtomicU64,
    /// How many it has come to, or made.
    used: AtomicU64,
    /// It has done something that no earlier run had recorded.
    ahead: AtomicBool,
    cancel: watch::Sender<CancelState>,
    unwinding: AtomicBool,
    halt: watch::Sender<Option<Halt>>,
    work: watch::Sender<Work>,
    /// Grows with everything that the function asks for.
    activity: AtomicU64,
    /// What it waits for: until when, if there is such a time.
    parked: Mutex<BTreeMap<u64, Option<u64>>>,
    /// How often it has waited for a signal of this name.
    waited: Mutex<BTreeMap<String, u64>>,
    undo: Mutex<Vec<Undo>>,
}

impl Course {
    pub(super) fn new(
        engine: Arc<Core>,
        key: String,
        begun: &Begun,
        changes: watch::Receiver<u64>,
        notes: Arc<Notes>,
        memory: Box<dyn Memory>,
    ) -> Self {
        notes.begin();
        Self {
            engine,
            key,
            start: begun.id,
            request: begun.request.clone(),
            changes,
            notes,
            memory,
            missing: AtomicU64::new(begun.recorded),
            used: AtomicU64::new(0),
            ahead: AtomicBool::new(false),
            cancel: watch::Sender::new(begun.cancel),
            unwinding: AtomicBool::new(false),
            halt: watch::Sender::new(None),
            work: watch::Sender::default(),
            activity: AtomicU64::new(0),
            parked: Mutex::default(),
            waited: Mutex::default(),
            undo: Mutex::default(),
        }
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// What is recorded under this name. `None`: it is to be done now.
    ///
    /// # Cancellation
    /// Never ends for a function that must not go on.
    pub(super) async fn ask(&self, name: &str) -> Option<Checkpoint> {
        self.activity.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = check_name(name) {
            return self.halt(Halt::Broken(error)).await;
        }
        if !self.notes.ask(name) {
            let twice = format!(
                "the step {name:?} is used twice in one run; give each step a name of its own, for example with a number"
            );
            return self.halt(Halt::Broken(twice)).await;
        }
        if self.missing.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let found = self.question(self.memory.recorded(name.to_owned())).await;
        if found.is_some() {
            self.missing.fetch_sub(1, Ordering::Relaxed);
            self.used.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// The signal of this name and number, if it has come.
    pub(super) async fn received(&self, name: &str, number: u64) -> Option<Value> {
        self.question(self.memory.received(name.to_owned(), number)).await
    }

    /// Records it. It is durable when this ends.
    pub(super) async fn record(&self, name: &str, checkpoint: Checkpoint, message: Option<Message>) {
        let decides = matches!(checkpoint, Checkpoint::Decided { .. });
        self.question(self.memory.record(name.to_owned(), checkpoint, message)).await;
        // A decision takes the place of the wait that was counted before.
        if !decides {
            self.used.fetch_add(1, Ordering::Relaxed);
        }
        self.ahead.store(true, Ordering::Relaxed);
    }

    async fn question<T>(&self, answer: Answer<T>) -> T {
        let _asking = self.works(|work| &mut work.questions);
        match answer.await {
            Ok(answer) => answer,
            Err(WorkflowError::Unfit(what)) => self.halt(Halt::Broken(what)).await,
            Err(WorkflowError::Store(what)) => self.halt(Halt::Broken(what)).await,
            Err(_) => self.halt(Halt::Overtaken).await,
        }
    }

    /// What is recorded under this name was recorded by something else.
    pub(super) async fn other_kind<T>(&self, name: &str, wanted: &str, found: &Checkpoint) -> T {
        let kind = found.kind();
        self.halt(Halt::Broken(format!(
            "{name:?} is recorded as a {kind}, and the function asks for a {wanted}; give what has changed a new name"
        )))
        .await
    }

    /// Counts a step as long as what is returned lives.
    pub(super) fn step(&self) -> impl Drop + use<'_> {
        self.works(|work| &mut work.steps)
    }

    fn works(&self, which: fn(&mut Work) -> &mut usize) -> Working<'_> {
        self.activity.fetch_add(1, Ordering::Relaxed);
        self.work.send_modify(|work| *which(work) += 1);
        Working { course: self, which }
    }

    /// Waits until no question is open.
    pub(super) async fn answered(&self) {
        // The sender lives as long as the course.
        let _ = self.work.subscribe().wait_for(|work| work.questions == 0).await;
    }
}

struct Working<'a> {
    course: &'a Course,
    which: fn(&mut Work) -> &mut usize,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.course.activity.fetch_add(1, Ordering::Relaxed);
        self.course.work.send_modify(|work| *(self.which)(work) -= 1);
    }
}

/// Stopping.
impl Course {
    /// The function must not go on: nothing behind this runs.
    pub(super) async fn halt<T>(&self, why: Halt) -> T {
        self.halt.send_if_modified(|halt| {
            let first = halt.is_none() || *halt == Some(Halt::Cancelled);
            if first {
                *halt = Some(why);
            }
            first
        });
        std::future::pending().await
    }

    /// Waits until the function must stop: if it is cancelled, until the steps that run have ended.
    pub(super) async fn halted(&self) -> Halt {
        let (mut halt, mut work) = (self.halt.subscribe(), self.work.subscribe());
        loop {
            let steps = work.borrow_and_update().steps;
            match &*halt.borrow_and_update() {
                Some(Halt::Cancelled) if steps > 0 => {}
                Some(why) => return why.clone(),
                None => {}
            }
            tokio::select! {
                biased;
                _ = halt.changed() => {}
                _ = work.changed() => {}
            }
        }
    }

    pub(super) fn cancel_state(&self) -> CancelState {
        *self.cancel.borrow()
    }

    pub(super) fn set_cancel_state(&self, state: CancelState) {
        self.cancel.send_replace(state);
    }

    /// Ends here for a step that must not begin any more.
    pub(super) async fn may_begin(&self) {
        let refused = match self.cancel_state() {
            CancelState::No => false,
            CancelState::Wanted => self.ahead.load(Ordering::Relaxed),
            CancelState::InEffect => true,
        };
        if refused && !self.unwinding.load(Ordering::Relaxed) {
            self.halt(Halt::Cancelled).await
        }
    }

    /// Never ends; stops a function that is cancelled.
    pub(super) async fn cancelled<T>(&self) -> T {
        if !self.unwinding.load(Ordering::Relaxed) {
            // The sender lives as long as the course.
            let _ = self.cancel.subscribe().wait_for(|state| *state != CancelState::No).await;
            self.halt(Halt::Cancelled).await
        } else {
            std::future::pending().await
        }
    }

    pub(super) fn compensate(&self, undo: Undo) {
        self.undo.lock().push(undo);
    }

    /// The function is gone. What it has asked to undo, the last first.
    pub(super) fn unwind(&self) -> impl Iterator<Item = Undo> + Send + use<> {
        self.unwinding.store(true, Ordering::Relaxed);
        self.halt.send_replace(None);
        std::mem::take(&mut *self.undo.lock()).into_iter().rev()
    }

    /// Whether this run has done something that no earlier one had recorded.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead.load(Ordering::Relaxed)
    }

    /// How many checkpoints this run has used.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// Waiting.
impl Course {
    /// Says what the function waits for as long as what is returned lives.
    pub(super) fn park(&self, until_unix_ms: Option<u64>) -> impl Drop + use<'_> {
        let number = self.activity.fetch_add(1, Ordering::Relaxed);
        self.parked.lock().insert(number, until_unix_ms);
        Parked { course: self, number }
    }

    /// The number of this wait for a signal of this name.
    pub(super) fn next_wait(&self, name: &str) -> u64 {
        let mut waited = self.waited.lock();
        let number = waited.entry(name.to_owned()).or_default();
        *number += 1;
        *number - 1
    }

    /// Changes whenever the function does something.
    pub(super) fn activity(&self) -> (u64, u64) {
        (self.activity.load(Ordering::Relaxed), *self.changes.borrow())
    }

    /// If the function only waits: until when, if there is such a time.
    pub(super) fn waits_until(&self) -> Option<Option<u64>> {
        if *self.work.borrow() != Work::default() {
            return None;
        }
        let parked = self.parked.lock();
        (!parked.is_empty()).then(|| parked.values().flatten().min().copied())
    }
}

struct Parked<'a> {
    course: &'a Course,
    number: u64,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.course.activity.fetch_add(1, Ordering::Relaxed);
        self.course.parked.lock().remove(&self.number);
    }
}
