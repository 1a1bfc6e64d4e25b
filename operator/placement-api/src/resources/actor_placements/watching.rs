//! A watch of placements: the mirrors of the selected clusters, merged.
//!
//! Order matters only among the events of one actor, and those come from one mirror. The version of each event, and the
//! progress, is a moment up to which every node of every selected cluster has told everything, *and* all of it has been
//! passed on: it moves to the smallest watermark of the mirrors only when their histories, as they were at that watermark,
//! have been read to the end. So a watch that goes on from there, at whatever replica, misses nothing; it may repeat what
//! came after it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::select_all;
use futures_util::stream;
use tokio::sync::watch;

use super::{ActorPlacement, ActorPlacements, may_hold, selected, warnings};
use crate::framework::{ApiError, Event, Selection, Since, Version, Watched};
use crate::nodes::clock::Clock;
use crate::nodes::following::{Following, Live};
use crate::nodes::mirror::{Change, Held};
use crate::nodes::pool::NodeError;
use crate::nodes::{ClusterId, Nodes};

/// Changes that are taken from a mirror at once.
const BATCH: usize = 500;
/// How often progress is told when nothing changes.
const IDLE: Duration = Duration::from_secs(1);

/// Begins a watch.
pub(super) async fn watch(
    resource: &ActorPlacements,
    selection: Selection,
    since: Since,
) -> Result<Watched<ActorPlacement>, ApiError> {
    let changes = resource.directory.changes();
    let nodes = resource.nodes()?;
    let known = match since {
        Since::Now => None,
        Since::Version(version) => Some(version),
    };
    let horizon = resource.directory.horizon(|cluster| may_hold(&selection, cluster));
    if known.is_some_and(|version| horizon > version.stamp()) {
        return Err(expired());
    }
    let stamp = known.map(Version::stamp);
    let mut watcher = Watcher {
        following: resource.following.clone(),
        clock: resource.clock.clone(),
        selection,
        changes,
        subscriptions: BTreeMap::new(),
        pending: VecDeque::new(),
        version: Version::new(stamp.unwrap_or_else(|| resource.clock.stamp()), false),
        upcoming: None,
        ended: false,
    };
    // A list that lacked somebody's objects is made whole first.
    let whole = known.is_none_or(Version::is_partial);
    let mut silent_nodes = Vec::new();
    let clusters: Vec<ClusterId> =
        selected(&nodes, &watcher.selection).map(|(cluster, _)| cluster.clone()).collect();
    for cluster in clusters {
        let silent = watcher.subscribe(&cluster, stamp, whole).await?;
        let silent: Vec<_> = silent.into_iter().map(|node| (node, NodeError::Silent)).collect();
        silent_nodes.extend(warnings(&cluster.name, &silent));
    }
    if known.is_none() {
        watcher.pending.push_back(Event::Initial(watcher.version));
    }
    let events = stream::unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Some((event, watcher))
    });
    Ok(Watched { warnings: silent_nodes, events: events.boxed() })
}

fn expired() -> ApiError {
    ApiError::expired("too old resource version: the nodes have forgotten changes since then; list again")
}

struct Watcher {
    following: Arc<Following>,
    clock: Arc<Clock>,
    selection: Selection,
    changes: watch::Receiver<Option<Arc<Nodes>>>,
    subscriptions: BTreeMap<ClusterId, Subscription>,
    pending: VecDeque<Event<ActorPlacement>>,
    version: Version,
    /// The version once everything that is pending has been passed on.
    upcoming: Option<Version>,
    ended: bool,
}

/// A mirror, and how far it has been read.
struct Subscription {
    live: Arc<Live>,
    next: u64,
}

impl Watcher {
    /// Adds the mirror of a cluster; `whole` tells all that it holds.
    async fn subscribe(
        &mut self,
        cluster: &ClusterId,
        since: Option<u64>,
        whole: bool,
    ) -> Result<Vec<Arc<str>>, ApiError> {
        let (live, silent) = self.following.follow(cluster, since).await.map_err(|_| expired())?;
        let (next, held) = {
            let mirror = live.mirror.lock();
            let next = match since {
                Some(since) => mirror.position(since).map_err(|_| expired())?,
                None => mirror.head(),
            };
            // What changed since then comes first, as history; what is there now may be said once more.
            (next, if whole { mirror.snapshot() } else { Vec::new() })
        };
        let mut subscription = Subscription { live, next };
        if whole {
            while self.read(&mut subscription)? == BATCH {}
            let objects = held.iter().map(|held| self.shown(held)).filter(|it| self.selection.matches(it));
            let events: Vec<_> = objects.map(Event::Added).collect();
            self.pending.extend(events);
        }
        self.subscriptions.insert(cluster.clone(), subscription);
        Ok(silent)
    }

    /// The next event; `None` after an error.
    async fn next(&mut self) -> Option<Result<Event<ActorPlacement>, ApiError>> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(Ok(event));
            }
            match self.advance().await {
                Ok(()) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Takes in what has happened, or waits until something does. Everything before has been passed on.
    async fn advance(&mut self) -> Result<(), ApiError> {
        if let Some(version) = self.upcoming.take() {
            self.version = self.version.max(version);
        }
        // Waiting begins before looking, so that nothing happens in between.
        let mut waits: Vec<_> = self.subscriptions.values().map(|s| s.live.changes()).collect();
        let watermark = self.watermark();
        let mut subscriptions = std::mem::take(&mut self.subscriptions);
        let mut all = true;
        for subscription in subscriptions.values_mut() {
            all &= self.read(subscription)? < BATCH;
        }
        self.subscriptions = subscriptions;
        self.subscribe_to_new().await?;
        self.upcoming = all.then_some(watermark);
        if !self.pending.is_empty() || !all {
            return Ok(());
        }
        let happened = async {
            if waits.is_empty() {
                return std::future::pending().await;
            }
            let _ = select_all(waits.iter_mut().map(|wait| Box::pin(wait.changed()))).await;
        };
        tokio::select! {
            () = happened => {}
            _ = self.changes.changed() => {}
            () = tokio::time::sleep(IDLE) => self.pending.push_back(Event::Progress(self.version)),
        }
        Ok(())
    }

    /// Clusters that came after the watch began. Whoever watches knows nothing of them.
    async fn subscribe_to_new(&mut self) -> Result<(), ApiError> {
        let nodes = self.changes.borrow_and_update().clone().unwrap_or_default();
        let new: Vec<ClusterId> = selected(&nodes, &self.selection)
            .map(|(cluster, _)| cluster.clone())
            .filter(|cluster| !self.subscriptions.contains_key(cluster))
            .collect();
        for cluster in new {
            self.subscribe(&cluster, None, true).await?;
        }
        Ok(())
    }

    /// Reads a batch of a mirror's history; how much there was.
    fn read(&mut self, subscription: &mut Subscription) -> Result<usize, ApiError> {
        if subscription.live.is_expired() {
            return Err(expired());
        }
        let batch = subscription.live.mirror.lock().read(subscription.next, BATCH);
        let batch = batch.map_err(|_| {
            ApiError::expired("the watch is too far behind what changes; list again, and watch less at once")
        })?;
        subscription.next += batch.len() as u64;
        for change in &batch {
            let (Change::Added(held) | Change::Deleted(held)) = change;
            let object = self.shown(held);
            if self.selection.matches(&object) {
                self.pending.push_back(match change {
                    Change::Added(_) => Event::Added(object),
                    Change::Deleted(_) => Event::Deleted(object),
                });
            }
        }
        Ok(batch.len())
    }

    fn shown(&self, held: &Held) -> ActorPlacement {
        ActorPlacement::of(held, Some(self.version))
    }

    /// The smallest watermark.
    fn watermark(&self) -> Version {
        let told = self.subscriptions.values().filter_map(|s| s.live.mirror.lock().told()).min();
        // Without nodes there is nobody who could tell of an earlier moment; who comes is told whole.
        Version::new(told.unwrap_or_else(|| self.clock.stamp()), false)
    }
}
