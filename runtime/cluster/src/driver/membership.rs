//! Registers this run, then shows it as present and learns who else is.

use std::sync::Arc;

use futures_util::StreamExt;
use greenroom_core::map::{Member, Page};
use greenroom_core::retry::Backoff;

use super::writes::Settled;
use super::{Node, Phase};
use crate::ClusterError;
use crate::coordination::{Version, Versioned};
use crate::coordinator::PageWrite;
use crate::registration::{Start, register};

impl Node {
    pub(super) async fn membership(self: Arc<Self>) {
        if let Err(error) = self.register().await {
            self.fail(error);
            return;
        }
        self.registered.set(true);
        self.reach(Phase::Joining);
        let mut present = self.config.coordination.join(self.config.peer.clone());
        while let Some(peers) = present.next().await {
            let peers = peers.into_iter().map(|peer| (peer.name.clone(), peer)).collect();
            self.peers.set(Arc::new(peers));
        }
    }

    async fn register(&self) -> Result<(), ClusterError> {
        let me = Member {
            store: self.config.run.store,
            node: self.config.peer.name.clone(),
            incarnation: self.config.run.incarnation,
        };
        let mut start = Start { me, store_has_data: self.config.store_has_data, may_be_registered: false };
        loop {
            let page0 = self.page0().await;
            let content = match register(&page0.content, &start) {
                Ok(None) => return Ok(()),
                Ok(Some(content)) => content,
                Err(refused) => match self.newer_page0(page0.version).await {
                    true => continue,
                    false => return Err(refused.into()),
                },
            };
            match self.settle(PageWrite { base: page0.version, content }).await {
                Settled::Written => return Ok(()),
                Settled::Superseded { maybe_ours } => start.may_be_registered |= maybe_ours,
            }
        }
    }

    async fn page0(&self) -> Versioned<Page> {
        let view = self.map.watch().wait_for(|view| view.page(0).is_some()).await;
        view.page(0).expect("it was waited for").clone()
    }

    /// A watch may show an old page, and a start is not refused because of that: true if the register has a newer one.
    async fn newer_page0(&self, than: Version) -> bool {
        let mut backoff = Backoff::default();
        loop {
            match self.config.coordination.read(0).await {
                Ok(page) => {
                    self.map.apply(page);
                    return self.map.view().version(0) > than;
                }
                Err(_) => self.pause(&mut backoff).await,
            }
        }
    }
}
