//! The program around a node: it makes references all the time, mostly for one call each.
//!
//! Were each of them counted, as references to what it calls through, the counting would cost as much as the look-up of
//! the actor. So a reference has the program's number only, in the form of an address: a few bytes of each program stay
//! until the process ends. What the number stands for is looked up when a call begins, and each thread remembers the
//! engine of the last one. **Invariant**: nobody gets the engine of a program that has ended. What a thread remembers
//! keeps no actors: their end is the engine's end, see [`Engine`](crate::engine::Engine).

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::engine::Core;
use crate::env::SharedEnv;
use crate::reference::Origin;
use crate::transport::SharedTransport;

/// A program that makes calls until this is dropped. Later calls of its references are `Unavailable`.
pub struct Program(ProgramId);

/// Names a program, also after its end.
#[derive(Clone, Copy)]
pub struct ProgramId(&'static Entry);

/// What stays of a program.
struct Entry {
    env: SharedEnv,
    ended: AtomicBool,
    /// `None` when it has ended.
    transport: RwLock<Option<SharedTransport>>,
}

thread_local! {
    /// The program that has called last on this thread, with its engine.
    static LAST: Cell<Option<(ProgramId, Arc<Core>)>> = const { Cell::new(None) };
}

impl Program {
    /// A program that calls through this transport.
    pub fn new(transport: SharedTransport) -> Self {
        let env = transport.env().clone();
        let entry = Entry { env, ended: AtomicBool::new(false), transport: RwLock::new(Some(transport)) };
        Self(ProgramId(Box::leak(Box::new(entry))))
    }

    /// Where its calls come from.
    pub fn origin(&self) -> Origin {
        Origin::Program(self.0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let Self(ProgramId(entry)) = self;
        entry.ended.store(true, Ordering::Release);
        let transport = entry.transport.write().take();
        // Behind the lock: its end may be that of actors, whose own code runs then.
        drop(transport);
    }
}

impl ProgramId {
    pub(crate) fn env(self) -> &'static SharedEnv {
        &self.0.env
    }

    /// What it calls through; `None` when it has ended.
    pub(crate) fn transport(self) -> Option<SharedTransport> {
        self.0.transport.read().clone()
    }

    pub(crate) fn engine(self) -> Option<Arc<Core>> {
        self.transport()?.engine().map(|engine| Arc::clone(&**engine))
    }

    /// Does this with the engine of the program's process, if there is one.
    #[inline]
    pub(crate) fn with_engine<T>(self, work: impl FnOnce(Option<&Arc<Core>>) -> T) -> T {
        let last = match take_last() {
            Some(last) if last.0 == self && !self.0.ended.load(Ordering::Acquire) => Some(last),
            _ => self.look_up(),
        };
        let done = work(last.as_ref().map(|(_, engine)| engine));
        keep_last(last);
        done
    }

    #[cold]
    fn look_up(self) -> Option<(Self, Arc<Core>)> {
        Some((self, self.engine()?))
    }
}

/// What this thread remembers. It remembers nothing until it is given back: who makes calls within calls looks up.
fn take_last() -> Option<(ProgramId, Arc<Core>)> {
    // A thread at its end remembers nothing any more.
    LAST.try_with(Cell::take).ok().flatten()
}

fn keep_last(last: Option<(ProgramId, Arc<Core>)>) {
    if last.is_some() {
        let _ = LAST.try_with(|place| place.replace(last));
    }
}

impl PartialEq for ProgramId {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.0, other.0)
    }
}
