//! Which workflows' functions run on this node: those that have a row.
//!
//! A turn that gives a function something to do writes the workflow's row; the turn that ends or suspends it removes the
//! row. So a node that opens a shard finds in its rows what is to be run, however the last owner ended.
//!
//! **Invariant**: at most one run of a workflow is the current one of an epoch: it is the one in this table. The table of a
//! workflow changes only while one of its turns has the actor, or when its shard comes or goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Workflow;
use super::ledger::{RunnerId, StepInProgress};
use super::runner;
use crate::engine::Core;
use crate::env::SharedEnv;
use crate::identity::{ActorId, Seq};
use crate::rows::{RowChange, RowFollower, RowRange, Space, split_actor_prefix};
use crate::shard::OwnedShard;

/// How many rows are read at once.
const PAGE: usize = 256;
/// How long to wait before a page is read again after an error.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Runs the function of a workflow.
type Launch = fn(Assignment) -> BoxFuture<'static, ()>;

/// The functions of the workflows that a program has, by name.
#[derive(Default)]
pub(crate) struct Launchers(BTreeMap<&'static str, Launch>);

impl Launchers {
    pub(crate) fn add<W: Workflow>(&mut self) {
        self.0.insert(W::NAME, |assignment| Box::pin(runner::run::<W>(assignment)));
    }
}

/// What a run is given.
pub(super) struct Assignment {
    pub(super) id: RunnerId,
    pub(super) engine: Arc<Core>,
    pub(super) actor: ActorId,
    /// Grows when there may be something new for the function.
    pub(super) changes: watch::Receiver<u64>,
    pub(super) notes: Arc<Notes>,
}

/// The runs of a node.
pub(crate) struct Runners {
    env: SharedEnv,
    engine: OnceLock<Weak<Core>>,
    launchers: Launchers,
    numbers: AtomicU64,
    stopped: AtomicBool,
    here: Mutex<BTreeMap<ActorId, Here>>,
}

/// The current run of a workflow.
struct Here {
    id: RunnerId,
    changes: watch::Sender<u64>,
    notes: Arc<Notes>,
    task: AbortHandle,
}

impl Runners {
    pub(crate) fn new(env: SharedEnv, launchers: Launchers) -> Arc<Self> {
        Arc::new(Self {
            env,
            engine: OnceLock::new(),
            launchers,
            numbers: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            here: Mutex::default(),
        })
    }

    /// Begins to work for this engine.
    pub(crate) fn attach(&self, engine: &Arc<Core>) {
        // Called once, when the engine is made.
        let _ = self.engine.set(Arc::downgrade(engine));
    }

    /// The engine has come to its end.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.drop_runs(|_, _| true);
    }

    pub(super) fn is_current(&self, actor: &ActorId, id: RunnerId) -> bool {
        self.here.lock().get(actor).is_some_and(|here| here.id == id)
    }

    /// How often there was something new for the current run.
    pub(super) fn version(&self, actor: &ActorId) -> Option<u64> {
        self.here.lock().get(actor).map(|here| *here.changes.borrow())
    }

    /// What is known of the current run.
    pub(super) fn notes(&self, actor: &ActorId) -> Option<Arc<Notes>> {
        self.here.lock().get(actor).map(|here| here.notes.clone())
    }

    /// A run has found that there is nothing to run.
    pub(super) fn done(&self, actor: &ActorId, id: RunnerId) {
        let mut here = self.here.lock();
        if here.get(actor).is_some_and(|here| here.id == id) {
            here.remove(actor);
        }
    }

    /// Sees to it that the function runs, and tells it that there may be something new.
    fn want(&self, shard: &OwnedShard, actor: ActorId) {
        let Some(engine) = self.engine.get().and_then(Weak::upgrade) else { return };
        let Some(launch) = self.launchers.0.get(actor.actor_type.as_str()) else {
            tracing::warn!(%actor, "this program has no such workflow any more; serve it again to let it go on");
            return;
        };
        let mut here = self.here.lock();
        if self.stopped.load(Ordering::SeqCst) {
            return;
        }
        if let Some(run) = here.get(&actor).filter(|run| run.id.epoch == shard.epoch()) {
            run.changes.send_modify(|version| *version += 1);
            return;
        }
        let id = RunnerId { epoch: shard.epoch(), number: self.numbers.fetch_add(1, Ordering::Relaxed) };
        let (changes, notes) = (watch::Sender::new(0), Arc::<Notes>::default());
        let task = self.env.spawn(launch(Assignment {
            id,
            engine,
            actor: actor.clone(),
            changes: changes.subscribe(),
            notes: notes.clone(),
        }));
        if let Some(overtaken) = here.insert(actor, Here { id, changes, notes, task }) {
            overtaken.task.abort();
        }
    }

    fn drop_runs(&self, such: impl Fn(&ActorId, &Here) -> bool) {
        let mut dropped = Vec::new();
        self.here.lock().retain(|actor, here| {
            let goes = such(actor, here);
            if goes {
                dropped.push(here.task.clone());
            }
            !goes
        });
        dropped.iter().for_each(AbortHandle::abort);
    }

    fn engine(&self) -> Option<Arc<Core>> {
        self.engine.get()?.upgrade()
    }
}

impl RowFollower for Runners {
    fn opened(&self, shard: &Arc<OwnedShard>) {
        // A program without workflows has nothing to look for.
        if !self.launchers.0.is_empty()
            && let Some(engine) = self.engine()
        {
            let engine = Arc::downgrade(&engine);
            self.env.spawn(Box::pin(resume(engine, shard.clone())));
        }
    }

    fn committed(&self, shard: &Arc<OwnedShard>, _seq: Seq, row: &RowChange) {
        let Some((actor, _)) = split_actor_prefix(&row.key) else { return };
        match row.value {
            Some(_) => self.want(shard, actor),
            // The run that asked for it ends by itself when this is durable.
            None => drop(self.here.lock().remove(&actor)),
        }
    }

    fn closed(&self, shard: &Arc<OwnedShard>) {
        let engine = self.engine();
        self.drop_runs(|actor, here| {
            here.id.epoch == shard.epoch()
                && engine.as_ref().is_some_and(|engine| engine.shard_of(actor) == shard.shard())
        });
    }
}

/// Runs what the last owner of a shard has not brought to its end.
async fn resume(engine: Weak<Core>, shard: Arc<OwnedShard>) {
    let mut range = RowRange::all(Space::WORKFLOW);
    while shard.gate().committed().is_some() {
        let page = match shard.journal().rows(shard.shard(), range.clone(), PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(shard = %shard.shard(), %error, "cannot read which workflows are to be run; trying again");
                tokio::time::sleep(READ_AGAIN).await;
                continue;
            }
        };
        let Some(engine) = engine.upgrade() else { return };
        for (actor, _) in page.iter().filter_map(|(key, _)| split_actor_prefix(key)) {
            engine.workflows().want(&shard, actor);
        }
        match page.last().filter(|_| page.len() == PAGE) {
            Some((last, _)) => range = range.after(last),
            None => return,
        }
    }
}

/// What is known of a run, for its workflow's status.
#[derive(Default)]
pub(super) struct Notes(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    asked: BTreeSet<String>,
    running: BTreeMap<String, StepInProgress>,
    trouble: Option<String>,
}

impl Notes {
    /// The names that the function has asked for, the steps that run, and what keeps it from going on.
    pub(super) fn read(&self) -> (BTreeSet<String>, Vec<StepInProgress>, Option<String>) {
        let noted = self.0.lock();
        (noted.asked.clone(), noted.running.values().cloned().collect(), noted.trouble.clone())
    }

    /// The function begins from its beginning.
    pub(super) fn begin(&self) {
        let mut noted = self.0.lock();
        noted.asked.clear();
        noted.running.clear();
    }

    /// Returns whether it is the first time.
    pub(super) fn ask(&self, name: &str) -> bool {
        self.0.lock().asked.insert(name.to_owned())
    }

    pub(super) fn trouble(&self, trouble: Option<String>) {
        self.0.lock().trouble = trouble;
    }

    pub(super) fn step_begins(&self, name: &str) {
        let step = StepInProgress { name: name.to_owned(), failures: 0, last_error: None };
        self.0.lock().running.insert(name.to_owned(), step);
    }

    pub(super) fn step_failed(&self, name: &str, error: String) {
        if let Some(step) = self.0.lock().running.get_mut(name) {
            step.failures += 1;
            step.last_error = Some(error);
        }
    }

    pub(super) fn step_ended(&self, name: &str) {
        self.0.lock().running.remove(name);
    }
}
