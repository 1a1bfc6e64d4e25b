//! Runs the tasks of all simulated nodes on one thread, in an order that only the seed decides.
//!
//! tokio gives time, channels and timers. Its scheduler would always run tasks in the order in which they were woken,
//! and that order is not even the same each time (`tokio::sync::watch` draws it from a generator that cannot be seeded).
//! Here a woken task only becomes *ready*, and which of the ready tasks is polled next is drawn from the seed. So the
//! order of wake-ups has no effect, one seed is one history, and other seeds try other orders.
//!
//! One future is no task: the *main* one, a test's own body, which may borrow and need not be `Send`. It is polled
//! before any task when something has woken it.
//!
//! A task belongs to the world or to one run of a node. A run can be *paused* (its ready tasks are not polled, as after
//! SIGSTOP) and *killed* (all its tasks are dropped at once, between two polls, as by SIGKILL).
//!
//! `Env::spawn` has to return tokio's own handle, so each task has a shell: a task of tokio that only waits to be
//! aborted and then has the real one dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use fastrand::Rng;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// What runs in a task.
pub type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// To whom a task belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Clients, faults, the network, the register: what no crash of a node ends.
    World,
    /// One run of a node.
    Run(u64),
}

/// Identifies a task; later tasks have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId(u64);

/// What a poll of the executor came to.
pub enum Step {
    /// The main future was polled.
    Main,
    /// A task was polled.
    Polled(TaskId),
    /// Its task panicked; the message says how.
    Panicked(String),
    /// Nothing can run before time goes on.
    Idle,
}

/// The tasks of a simulation.
pub struct Executor {
    state: Mutex<State>,
    root: AtomicWaker,
}

struct State {
    order: Rng,
    next: u64,
    tasks: BTreeMap<TaskId, Task>,
    ready: BTreeSet<TaskId>,
    dead: BTreeSet<Owner>,
    paused: BTreeSet<Owner>,
    /// The task that is being polled is not in `tasks`: here stands whether it is to be dropped afterwards.
    running: Option<(TaskId, Owner, bool)>,
}

struct Task {
    owner: Owner,
    body: Body,
    waker: Waker,
    shell: AbortHandle,
}

impl Executor {
    /// No tasks yet; `order` draws which one is next.
    pub fn new(order: Rng) -> Arc<Self> {
        let state = State {
            order,
            next: 0,
            tasks: BTreeMap::new(),
            ready: BTreeSet::new(),
            dead: BTreeSet::new(),
            paused: BTreeSet::new(),
            running: None,
        };
        Arc::new(Self { state: Mutex::new(state), root: AtomicWaker::new() })
    }

    /// Starts a task. If its owner has been killed, the task is dropped at once.
    pub fn spawn(self: &Arc<Self>, owner: Owner, body: Body) -> (TaskId, AbortHandle) {
        let id = {
            let mut state = self.state.lock();
            state.next += 1;
            TaskId(state.next)
        };
        let cancel = CancelOnDrop { id, executor: Arc::downgrade(self) };
        let shell = tokio::spawn(async move {
            let _cancel = cancel;
            std::future::pending::<()>().await;
        });
        let shell = shell.abort_handle();
        // One poll of the whole simulation is one poll for tokio, whose budget must not starve the tasks inside it.
        let body: Body = Box::pin(tokio::task::unconstrained(body));
        let waker = Waker::from(Arc::new(TaskWaker { id, executor: Arc::downgrade(self) }));
        let task = Task { owner, body, waker, shell: shell.clone() };
        let refused = {
            let mut state = self.state.lock();
            if state.dead.contains(&owner) {
                Some(task)
            } else {
                state.tasks.insert(id, task);
                state.ready.insert(id);
                None
            }
        };
        match refused {
            Some(task) => task.shell.abort(),
            None => self.root.wake(),
        }
        (id, shell)
    }

    /// To whom the task belongs that is being polled; `None` between two polls.
    pub fn running(&self) -> Option<Owner> {
        self.state.lock().running.map(|(_, owner, _)| owner)
    }

    /// Drops a task, wherever it stands.
    pub fn cancel(&self, id: TaskId) {
        let task = {
            let mut state = self.state.lock();
            match &mut state.running {
                Some((running, _, dropped)) if *running == id => *dropped = true,
                _ => {}
            }
            state.ready.remove(&id);
            state.tasks.remove(&id)
        };
        if let Some(task) = task {
            task.shell.abort();
        }
    }

    /// Drops all tasks of an owner, and those it may still try to start.
    pub fn kill(&self, owner: Owner) {
        let tasks: Vec<_> = {
            let mut state = self.state.lock();
            state.dead.insert(owner);
            state.paused.remove(&owner);
            match &mut state.running {
                Some((_, running, dropped)) if *running == owner => *dropped = true,
                _ => {}
            }
            let ids: Vec<_> =
                state.tasks.iter().filter(|(_, task)| task.owner == owner).map(|(id, _)| *id).collect();
            ids.into_iter().filter_map(|id| state.remove(id)).collect()
        };
        for task in tasks {
            task.shell.abort();
            drop(task);
        }
    }

    /// Stops polling the tasks of an owner until [`resume`](Self::resume).
    pub fn pause(&self, owner: Owner) {
        self.state.lock().paused.insert(owner);
    }

    /// Polls the tasks of an owner again.
    pub fn resume(&self, owner: Owner) {
        self.state.lock().paused.remove(&owner);
        self.root.wake();
    }

    /// Drops every task: what is left over when a simulation ends refers to it and would keep it in memory.
    pub fn clear(&self) {
        loop {
            let tasks = std::mem::take(&mut self.state.lock().tasks);
            if tasks.is_empty() {
                return;
            }
            tasks.values().for_each(|task| task.shell.abort());
        }
    }

    /// Polls `main` and the tasks until `main` is over, or `step`, which is told what happened, returns true.
    pub async fn run<T>(
        self: &Arc<Self>,
        main: impl Future<Output = T>,
        mut step: impl FnMut(Step) -> bool,
    ) -> Option<T> {
        let mut main = pin!(tokio::task::unconstrained(main));
        let woken = Arc::new(MainWaker { woken: AtomicBool::new(true), executor: Arc::downgrade(self) });
        let main_waker = Waker::from(woken.clone());
        poll_fn(|root| {
            self.root.register(root.waker());
            let polled = if woken.woken.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(value) = main.as_mut().poll(&mut Context::from_waker(&main_waker)) {
                    return Poll::Ready(Some(value));
                }
                Step::Main
            } else {
                self.poll_one()
            };
            let idle = matches!(polled, Step::Idle);
            if step(polled) {
                return Poll::Ready(None);
            }
            // One future per poll: in between, tokio runs the shells, so that an abort takes effect soon.
            if !idle {
                root.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    fn poll_one(&self) -> Step {
        let Some((id, mut task)) = self.state.lock().next() else { return Step::Idle };
        let mut cx = Context::from_waker(&task.waker);
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| task.body.as_mut().poll(&mut cx)));
        let pending = matches!(polled, Ok(Poll::Pending));
        let over = {
            let mut state = self.state.lock();
            let dropped = state.running.take().is_some_and(|(_, _, dropped)| dropped);
            if pending && !dropped {
                state.tasks.insert(id, task);
                None
            } else {
                state.ready.remove(&id);
                Some(task)
            }
        };
        if let Some(task) = over {
            task.shell.abort();
        }
        match polled {
            Ok(_) => Step::Polled(id),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Step::Panicked(text.unwrap_or_else(|| "no message".into()))
            }
        }
    }
}

impl State {
    fn next(&mut self) -> Option<(TaskId, Task)> {
        let paused = &self.paused;
        let may_run = |id: &&TaskId| self.tasks.get(id).is_some_and(|task| !paused.contains(&task.owner));
        let count = self.ready.iter().filter(may_run).count();
        if count == 0 {
            return None;
        }
        let nth = self.order.usize(..count);
        let id = *self.ready.iter().filter(may_run).nth(nth)?;
        self.ready.remove(&id);
        let task = self.tasks.remove(&id)?;
        self.running = Some((id, task.owner, false));
        Some((id, task))
    }

    fn remove(&mut self, id: TaskId) -> Option<Task> {
        self.ready.remove(&id);
        self.tasks.remove(&id)
    }

    fn is_alive(&self, id: TaskId) -> bool {
        self.tasks.contains_key(&id) || self.running.is_some_and(|(running, _, _)| running == id)
    }
}

impl TaskId {
    /// The number, for the trace.
    pub fn number(self) -> u64 {
        self.0
    }
}

struct TaskWaker {
    id: TaskId,
    executor: Weak<Executor>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let Some(executor) = self.executor.upgrade() else { return };
        {
            let mut state = executor.state.lock();
            if !state.is_alive(self.id) {
                return;
            }
            state.ready.insert(self.id);
        }
        executor.root.wake();
    }
}

struct MainWaker {
    woken: AtomicBool,
    executor: Weak<Executor>,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        if let Some(executor) = self.executor.upgrade() {
            executor.root.wake();
        }
    }
}

/// In the shell: its abort drops the task.
struct CancelOnDrop {
    id: TaskId,
    executor: Weak<Executor>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(executor) = self.executor.upgrade() {
            executor.cancel(self.id);
        }
    }
}
