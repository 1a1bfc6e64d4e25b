//! A node that is about to stop takes no new work and waits for the turns that run.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::turnstile::Turnstile;

impl Turnstile {
    /// Takes no new work and waits until every turn has ended and `farewell` is done, at most `timeout` in all; how many
    /// turns there were then.
    pub(super) async fn drain(&self, timeout: Duration, farewell: impl Future<Output = ()>) -> usize {
        self.begin_drain();
        let finished = async {
            self.idle().await;
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
