//! Calls that wait: for a shard of this node to open, and for this node's map to catch up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use greenroom_core::call::{Call, CallResult};
use greenroom_core::engine::Delivery;
use greenroom_core::{CallError, Epoch, Shard};
use tokio::time::{Instant, timeout_at};

use super::{NoAnswer, Routing, here, timed_out, unavailable};
use crate::driver::Phase;
use crate::map::View;

/// How many calls of one node may wait for shards to open. Each holds its arguments in memory; further ones are told
/// `Overloaded` and may come again.
pub const MAX_WAITING_CALLS: usize = 10_000;

/// How long a call that names a later epoch than this node's map knows waits for the map. The map's watch is some
/// milliseconds behind at most, unless the register is away.
const CATCH_UP: Duration = Duration::from_secs(1);

impl Routing {
    /// Waits until the shard is served here, and runs the call.
    pub(super) async fn deliver_when_open(&self, call: Call, shard: Shard) -> Result<CallResult, NoAnswer> {
        let deadline = call.context.deadline;
        let Some(_place) = WaitingPlace::take(&self.waiting) else {
            let full =
                format!("{MAX_WAITING_CALLS} calls wait on this node for shards to open; call again later");
            return Err(NoAnswer { error: CallError::Overloaded(full), left: false });
        };
        match timeout_at(deadline, self.when_open(shard)).await {
            Ok(true) => {}
            Ok(false) => return Err(unavailable(format!("shard {shard} is not served here any more"))),
            Err(_) => return Err(NoAnswer { error: timed_out(false), left: false }),
        }
        match self.engine().deliver(call) {
            Delivery::Here(outcome) => here(outcome.await),
            Delivery::NotServed(_) => Err(unavailable(format!("shard {shard} is moving"))),
        }
    }

    /// Completes with true when the shard is served here, with false when the map gives it to somebody else or this
    /// node stops.
    pub(super) async fn when_open(&self, shard: Shard) -> bool {
        let (mut views, mut phase) = (self.node.map.watch(), self.node.phase.watch());
        loop {
            let Some(changed) = self.node.config.shards.changed(shard) else { return false };
            tokio::pin!(changed);
            // Registered before the checks, so that no change can fall in between.
            changed.as_mut().enable();
            if self.engine().owned(shard).is_some() {
                return true;
            }
            if !self.is_mine(&views.get(), shard) || phase.get() == Phase::Drained {
                return false;
            }
            tokio::select! {
                biased;
                () = changed => {}
                _ = views.changed() => {}
                _ = phase.changed() => {}
            }
        }
    }

    /// Waits a moment for this node's map to reach an epoch that it was told of.
    pub(super) async fn catch_up(&self, shard: Shard, epoch: Epoch, deadline: Instant) {
        let mut views = self.node.map.watch();
        let known = views.wait_for(|view| view.entry(shard).is_some_and(|entry| entry.epoch >= epoch));
        // If it does not come, the answer is made from the map as it is.
        let _ = timeout_at(deadline.min(self.node.config.env.now() + CATCH_UP), known).await;
    }

    /// True if the map gives the shard to this store: to this run, or to an earlier one that is about to be replaced.
    pub(super) fn is_mine(&self, view: &View, shard: Shard) -> bool {
        view.entry(shard).is_some_and(|entry| entry.owner.store == self.me().store)
    }
}

/// A place among the calls that wait for shards to open.
struct WaitingPlace<'a>(&'a AtomicUsize);

impl<'a> WaitingPlace<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let taken = waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < MAX_WAITING_CALLS).then(|| n + 1));
        taken.ok().map(|_| Self(waiting))
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_calls_waits() {
        let waiting = AtomicUsize::new(MAX_WAITING_CALLS - 1);
        let last = WaitingPlace::take(&waiting);
        assert!(last.is_some());
        assert!(WaitingPlace::take(&waiting).is_none());
        drop(last);
        assert!(WaitingPlace::take(&waiting).is_some());
    }
}
