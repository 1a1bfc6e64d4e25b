//! How many turns run, and the wish that they end.
//!
//! **Claim**: a turn that has entered and then does not see the drain is seen by the drain. Each of the two writes first
//! and looks then, in one order for all (`SeqCst`). `runtime/models` runs this file under all interleavings.

use crate::stripes::Presence;
use crate::sync::{AtomicBool, Notify, Ordering};

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

    /// Takes no new work from now on.
    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Waits until there is no turn, while draining. Dropping it is harmless.
    pub(super) async fn idle(&self) {
        loop {
            // Registered before the check, so that the last turn's notice cannot fall in between.
            let notice = self.idle.notified();
            if self.running() == 0 {
                return;
            }
            notice.await;
        }
    }
}
