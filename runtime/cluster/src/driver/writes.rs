//! Writes to the map: each until its outcome is known, and those that the coordinator's plan asks for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use greenroom_core::retry::Backoff;

use super::Node;
use crate::coordination::WriteError;
use crate::coordinator::{PageWrite, plan};

/// A map write that is not answered within this time has an unknown outcome (T_cas of the protocol).
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// How a map write ended.
pub(super) enum Settled {
    /// It landed.
    Written,
    /// A newer version is there: decide again. `maybe_ours` if the write may be what made it.
    Superseded { maybe_ours: bool },
}

impl Node {
    /// Writes until the outcome is known: a timeout is not a failure, so the same write is repeated on the same base
    /// until a newer version is seen (R1). What is seen goes into the map.
    pub(super) async fn settle(&self, write: PageWrite) -> Settled {
        let (number, base) = (write.content.page, write.base);
        let (mut backoff, mut maybe_ours) = (Backoff::default(), false);
        let mut views = self.map.watch();
        loop {
            let answer = self.config.coordination.write(number, base, write.content.clone());
            match tokio::time::timeout(ANSWERED_WITHIN, answer).await {
                Ok(Ok(page)) => {
                    self.apply(page);
                    return Settled::Written;
                }
                Ok(Err(WriteError::Conflict(current))) => {
                    self.apply(*current);
                }
                Ok(Err(WriteError::Unknown(_))) | Err(_) => maybe_ours = true,
            }
            tokio::select! {
                biased;
                _ = views.wait_for(|view| view.version(number) > base) => return Settled::Superseded { maybe_ours },
                () = self.pause(&mut backoff) => {}
            }
        }
    }

    /// Carries out the plan, one write per page at a time, so that a page whose write is not answered holds up no other.
    pub(super) async fn coordinate(self: Arc<Self>) {
        let (mut views, mut peers) = (self.map.watch(), self.peers.watch());
        let (mut pages, mut writes) = (BTreeSet::new(), FuturesUnordered::new());
        loop {
            let view = views.get();
            let present: BTreeSet<_> = peers.get().keys().cloned().collect();
            for write in plan(&view, &present, &self.config.expected, &self.config.peer.name) {
                let page = write.content.page;
                if pages.insert(page) {
                    let settling = self.settle(write);
                    writes.push(async move { (page, settling.await).0 });
                }
            }
            tokio::select! {
                biased;
                Some(page) = writes.next() => {
                    pages.remove(&page);
                }
                () = views.changed() => {}
                () = peers.changed() => {}
            }
        }
    }
}
