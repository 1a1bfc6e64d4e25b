//! Brings the entries of the map to the shards' owner machines, and answers what they ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use greenroom_core::Shard;
use greenroom_core::retry::Backoff;

use super::Node;
use crate::ClusterError;
use crate::coordination::Version;
use crate::map::View;
use crate::owner::Event;
use crate::shards::Ask;

impl Node {
    pub(super) async fn own(self: Arc<Self>) {
        // A volume that was set back comes with an incarnation that the map may still name as an owner. Such a run must
        // be refused before it takes a shard, not while it already serves old state.
        self.registered.watch().wait_for(|registered| *registered).await;
        let mut views = self.map.watch();
        let mut done: BTreeMap<u16, Version> = BTreeMap::new();
        let mut waiting: BTreeSet<Shard> = BTreeSet::new();
        let mut backoff = Backoff::default();
        loop {
            let view = views.get();
            waiting.extend(self.take_entries(&view, &mut done));
            waiting = self.recover(std::mem::take(&mut waiting)).await;
            if waiting.is_empty() {
                backoff = Backoff::default();
            }
            tokio::select! {
                biased;
                _ = views.changed() => {}
                () = self.pause(&mut backoff), if !waiting.is_empty() => {}
            }
        }
    }

    /// Brings the entries of pages that are newer than the ones done to their machines. Returns the shards that wait
    /// for recovery.
    fn take_entries(&self, view: &View, done: &mut BTreeMap<u16, Version>) -> Vec<Shard> {
        let mut recover = Vec::new();
        for page in view.pages() {
            if done.insert(page.content.page, page.version) == Some(page.version) {
                continue;
            }
            for (shard, entry) in page.content.shard_range().map(Shard).zip(&page.content.entries) {
                recover.extend(self.answer(shard, Event::Entry(entry)));
            }
        }
        recover
    }

    /// Tells the machines where their logs end, so that they open. Returns those that the journal did not take yet.
    async fn recover(&self, shards: BTreeSet<Shard>) -> BTreeSet<Shard> {
        let last = async |shard| (shard, self.config.shards.last(shard).await);
        let mut again = BTreeSet::new();
        for (shard, last) in join_all(shards.into_iter().map(last)).await {
            match last {
                Ok(last) => again.extend(self.answer(shard, Event::Recovered(last))),
                Err(error) => self.fail(ClusterError::Store { shard, message: error.to_string() }),
            }
        }
        again
    }

    /// The shard, if it wants recovery.
    fn answer(&self, shard: Shard, event: Event<'_>) -> Option<Shard> {
        match self.config.shards.handle(shard, event) {
            Ask::Nothing => None,
            Ask::Recover => Some(shard),
            Ask::Fail(error) => {
                self.fail(error);
                None
            }
        }
    }
}
