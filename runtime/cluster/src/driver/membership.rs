//! Registers this run, then shows it as present and learns who else is.

use std::sync::Arc;

use futures_util::StreamExt;
use greenroom_core::map::{Member, Page};
use greenroom_core::retry::Backoff;

use super::writes::Settled;
use super::{Node, Phase};
use crate::ClusterError;
use crate::coordination::{ReadError, Versioned};
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
            group: self.config.group.clone(),
        };
        let mut start = Start {
            me,
            types: self.config.engine.served_homes(),
            store_has_data: self.config.store_has_data,
            may_be_registered: false,
        };
        self.read_page0().await?;
        loop {
            let page0 = self.page0();
            let Some(content) = register(&page0.content, &start)? else { return Ok(()) };
            match self.settle(PageWrite { base: page0.version, content }).await {
                Settled::Written => return Ok(()),
                Settled::Superseded { maybe_ours } => start.may_be_registered |= maybe_ours,
            }
        }
    }

    /// Begins with page 0 as it is, whatever the watch shows: the watch's page may be so old that it does not know the
    /// store yet. Or it does not know an earlier run with this incarnation, of which a volume that was set back knows
    /// nothing either; if a registration by such a page then got no answer, that run's entry would look like its own.
    async fn read_page0(&self) -> Result<(), ClusterError> {
        let mut backoff = Backoff::default();
        loop {
            match self.config.coordination.read(0).await {
                Ok(page) => {
                    self.waits_for.set(None);
                    return self.learn(page);
                }
                Err(error) => {
                    self.wait_for_map(&error);
                    self.pause(&mut backoff).await;
                }
            }
        }
    }

    /// A node may start before the operator has created the map: it waits, and says so once.
    fn wait_for_map(&self, error: &ReadError) {
        let what = format!("it waits for the shard map: {error}");
        self.waits_for.update(|told| {
            let news = told.as_ref() != Some(&what);
            if news {
                tracing::warn!(%error, "waiting for the shard map");
                *told = Some(what);
            }
            news
        });
    }

    fn page0(&self) -> Versioned<Page> {
        self.map.view().page(0).expect("registration begins with reading it").clone()
    }
}
