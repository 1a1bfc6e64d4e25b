//! Objects of one kind, kept in memory by a watch.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::StreamExt;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

/// All objects of one kind in the cluster. The watch ends with the process.
pub(super) struct Watched<K: Resource<DynamicType = ()> + Clone + 'static>(Store<K>);

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Hash + Eq,
{
    /// Follows the kind, and tells `changed` of each change.
    pub(super) fn start(client: Client, changed: Arc<Notify>) -> Self {
        let (store, writer) = reflector::store();
        let events =
            watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff().reflect(writer);
        tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                if let Err(error) = event {
                    eprintln!("watching {}: {error}", K::plural(&()));
                }
                changed.notify_one();
            }
        });
        Self(store)
    }

    /// All objects. Empty until the first list has come.
    pub(super) fn all(&self) -> Vec<Arc<K>> {
        self.0.state()
    }

    /// Waits for the first list.
    pub(super) async fn listed(&self) {
        self.0.wait_until_ready().await.expect("the watch never ends");
    }
}
