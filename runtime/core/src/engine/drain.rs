//! The turns that run, and the wish that they end: a node that is about to stop takes no new work and waits for them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::Core;
use crate::stripes::Presence;

/// Counts turns from the moment they have their actor until their output has left.
#[derive(Default)]
pub(super) struct Turnstile {
    draining: AtomicBool,
    running: Presence,
    idle: Notify,
}

impl Turnstile {
    /// A turn begins. What it gives is for [`leave`](Self::leave).
    pub(super) fn enter(&self) -> usize {
        self.running.enter()
    }

    /// A turn has ended.
    pub(super) fn leave(&self, entered: usize) {
        if self.running.leave(entered) && self.draining.load(Ordering::SeqCst) {
            self.idle.notify_waiters();
        }
    }

    /// How many turns there are.
    pub(super) fn running(&self) -> usize {
        self.running.count()
    }

    /// True when no new work is taken. To be asked after entering: then either a drain waits for the turn, or the turn
    /// sees it here.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Takes no new work and waits until every turn has ended and `farewell` is done, at most `timeout` in all; how many
    /// turns there were then.
    pub(super) async fn drain(&self, timeout: Duration, farewell: impl Future<Output = ()>) -> usize {
        self.draining.store(true, Ordering::SeqCst);
        let finished = async {
            loop {
                // Registered before the check, so that the last turn's notice cannot fall in between.
                let notice = self.idle.notified();
                if self.running() == 0 {
                    break;
                }
                notice.await;
            }
            farewell.await;
        };
        let _ = tokio::time::timeout(timeout, finished).await;
        self.running()
    }
}

impl Core {
    /// True when the node takes no new work.
    pub(super) fn is_draining(&self) -> bool {
        self.turns.is_draining()
    }
}

/// Work that is no turn, or not one yet, and that a drain waits for.
pub(super) struct Running {
    engine: Arc<Core>,
    entered: usize,
}

impl Running {
    pub(super) fn new(engine: Arc<Core>) -> Self {
        let entered = engine.turns.enter();
        Self { engine, entered }
    }

    pub(super) fn engine(&self) -> &Arc<Core> {
        &self.engine
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.turns.leave(self.entered);
    }
}
