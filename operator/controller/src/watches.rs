//! What the operator knows of the API server's objects: one cache per kind, each filled by a watch of its own.
//!
//! Rules:
//! - **Each watch runs in a task of its own, with its own back-off.** kube's `Controller` polls all its triggers behind
//!   one back-off: while that sleeps no connection makes progress, and connects that time out meanwhile keep it asleep.
//! - **Progress is measured on the wire** ([`Progress`], kept by the client): an event, a bookmark, or the answer to an
//!   opening. A watch without progress for [`STALLED_AFTER`] makes the process fail its liveness check.
//! - **All watches are opened anew on demand** ([`Caches::start`]'s `reopen`): whoever notices that the API server
//!   answers again after a silence says so, and no watch waits for its own connection to be found dead.
//! - **Deletes count.** Every event marks the cluster that its object belongs to; a list that ends marks all, since what
//!   was deleted while nobody watched has no event.
//! - **Our own writes come first.** Versions of one kind can be compared. [`Caches::behind`] says of which kind the cache
//!   has not yet seen what we wrote for a cluster; nothing is planned before it has. A list that began after a write has
//!   seen it, whether or not its object still exists.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use greenroom_crds::names::{CLUSTER_LABEL, MANAGED_BY, NODE_COMPONENT};
use greenroom_crds::{ActorCluster, ShardMap};
use greenroom_operator_plan::observed::PageSeen;
use greenroom_operator_plan::step::Kind;
use k8s_openapi::api::core::v1::Pod;
use kube::core::{DeserializeGuard, DynamicObject, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::error::status_code;
use crate::kinds::{CHILDREN, api_resource};
use crate::metrics::Metrics;

/// How long a watch stays open: shorter than the idle limit of common load balancers (240 s).
const WATCH_SECONDS: u32 = 200;
/// After so long without progress a watch is beyond hope.
pub(crate) const STALLED_AFTER: Duration = Duration::from_secs(600);

/// A cluster, by name and namespace.
pub(crate) type ClusterRef = ObjectRef<ActorCluster>;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Watched {
    Clusters,
    Child(Kind),
    Pods,
    Pages,
}

/// When each watch last heard of the API server, by the path of its requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<HashMap<String, Instant>>>);

impl Progress {
    /// Something came, just now.
    pub(crate) fn touch(&self, path: &str) {
        if let Some(last) = self.0.lock().get_mut(path) {
            *last = Instant::now();
        }
    }

    /// How long each watch has heard nothing.
    pub(crate) fn ages(&self) -> Vec<(String, Duration)> {
        let mut ages: Vec<_> =
            self.0.lock().iter().map(|(path, last)| (path.clone(), last.elapsed())).collect();
        ages.sort();
        ages
    }

    fn expect(&self, path: &str) {
        self.0.lock().insert(path.to_owned(), Instant::now());
    }
}

/// Clusters that something happened to. Each is in it once, however much happened.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    clusters: Mutex<HashSet<ClusterRef>>,
    changed: Notify,
}

impl Dirty {
    pub(crate) fn mark(&self, cluster: ClusterRef) {
        self.clusters.lock().insert(cluster);
        self.changed.notify_one();
    }

    /// The next clusters; waits for one.
    pub(crate) async fn take(&self) -> HashSet<ClusterRef> {
        loop {
            let taken = std::mem::take(&mut *self.clusters.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.changed.notified().await;
        }
    }
}

/// How far a cache is.
#[derive(Debug, Default)]
struct Version {
    /// The newest version that its watch has shown.
    seen: AtomicU64,
    /// The newest version that we wrote of this kind.
    written: AtomicU64,
    /// It holds a whole list.
    synced: AtomicBool,
    /// Why it does not make progress, if it does not.
    problem: Mutex<Option<String>>,
}

/// The caches of one scope: of all namespaces, or of one.
pub(crate) struct Caches {
    /// What users declared.
    pub(crate) clusters: Store<ActorCluster>,
    children: BTreeMap<Kind, Store<DynamicObject>>,
    pods: Store<Pod>,
    pages: Store<PartialObjectMeta<ShardMap>>,
    versions: BTreeMap<Watched, Version>,
    /// What we wrote for each cluster, per kind the newest version.
    written: Mutex<HashMap<ClusterRef, BTreeMap<Watched, u64>>>,
    /// What the watches found changed.
    pub(crate) dirty: Dirty,
}

impl Caches {
    /// Starts the watches of a scope; they end with the set.
    pub(crate) fn start(
        client: &Client,
        namespace: Option<&str>,
        progress: &Progress,
        metrics: &Arc<Metrics>,
        reopen: &watch::Receiver<u64>,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let (clusters, pods, pages) = (Writer::default(), Writer::default(), Writer::default());
        let children = CHILDREN.map(|kind| (kind, Writer::<DynamicObject>::new(api_resource(kind))));
        let watched = CHILDREN.map(Watched::Child).into_iter();
        let watched = watched.chain([Watched::Clusters, Watched::Pods, Watched::Pages]);
        let caches = Arc::new(Self {
            clusters: clusters.as_reader(),
            children: children.iter().map(|(kind, writer)| (*kind, writer.as_reader())).collect(),
            pods: pods.as_reader(),
            pages: pages.as_reader(),
            versions: watched.map(|watched| (watched, Version::default())).collect(),
            written: Mutex::default(),
            dirty: Dirty::default(),
        });
        let mut starter = Starter { progress, metrics, reopen, tasks, caches: caches.clone() };
        starter.clusters(scoped(client, namespace), clusters);
        for (kind, writer) in children {
            let (api, labels) = (scoped_child(client, namespace, kind), Some(managed()));
            starter.cache(Watched::Child(kind), api, labels, writer, |child, _| owner(child));
        }
        let nodes = format!("{CLUSTER_LABEL},app.kubernetes.io/component={NODE_COMPONENT}");
        starter.cache(Watched::Pods, scoped(client, namespace), Some(nodes), pods, |pod, _| owner(pod));
        // Nodes write their pages as they please; only a page that goes concerns the operator.
        starter.cache(Watched::Pages, scoped(client, namespace), None, pages, |page, gone| {
            gone.then(|| cluster_of_page(page)).flatten()
        });
        caches
    }

    /// The children of a cluster.
    pub(crate) fn children(&self, cluster: &ClusterRef) -> Vec<(Kind, Arc<DynamicObject>)> {
        let of = |(kind, store): (&Kind, &Store<DynamicObject>)| {
            let found = store.state_filter(|child| owner(child).as_ref() == Some(cluster));
            found.into_iter().map(|child| (*kind, child)).collect::<Vec<_>>()
        };
        self.children.iter().flat_map(of).collect()
    }

    /// The StatefulSets that other clusters of its namespace have, by name.
    pub(crate) fn foreign(&self, cluster: &ClusterRef) -> BTreeMap<String, String> {
        let beside = |other: &ClusterRef| other.namespace == cluster.namespace && other != cluster;
        let sets = self.children[&Kind::StatefulSet].state();
        let owned = sets.iter().filter_map(|set| Some((set.name_any(), owner(&**set)?)));
        owned.filter(|(_, owner)| beside(owner)).map(|(name, owner)| (name, owner.name)).collect()
    }

    /// The pods of its nodes, by name.
    pub(crate) fn pods(&self, cluster: &ClusterRef) -> Vec<Pod> {
        let mut pods: Vec<_> = self
            .pods
            .state_filter(|pod| owner(pod).as_ref() == Some(cluster))
            .into_iter()
            .map(|pod| (*pod).clone())
            .collect();
        pods.sort_by_key(ResourceExt::name_any);
        pods
    }

    /// The pages of its shard map.
    pub(crate) fn pages(&self, cluster: &ClusterRef) -> Vec<PageSeen> {
        let here = self.pages.state_filter(|page| page.namespace() == cluster.namespace);
        let seen = here.iter().filter_map(|page| PageSeen::from_metadata(&cluster.name, &page.metadata));
        let mut pages: Vec<_> = seen.collect();
        pages.sort_by_key(|seen| seen.page);
        pages
    }

    /// We wrote this version for the cluster.
    pub(crate) fn wrote(&self, cluster: &ClusterRef, watched: Watched, version: Option<&str>) {
        let Some(version) = version.and_then(|version| version.parse::<u64>().ok()) else { return };
        self.versions[&watched].written.fetch_max(version, Ordering::AcqRel);
        let mut written = self.written.lock();
        let newest = written.entry(cluster.clone()).or_default().entry(watched).or_default();
        *newest = version.max(*newest);
    }

    /// A kind of which the cache has not yet seen what we wrote for the cluster.
    pub(crate) fn behind(&self, cluster: &ClusterRef) -> Option<Watched> {
        let mut all = self.written.lock();
        let written = all.get_mut(cluster)?;
        written.retain(|watched, version| self.versions[watched].seen.load(Ordering::Acquire) < *version);
        let behind = written.keys().next().copied();
        if behind.is_none() {
            all.remove(cluster);
        }
        behind
    }

    /// The cluster is gone; what was written for it does not matter any more.
    pub(crate) fn forget(&self, cluster: &ClusterRef) {
        self.written.lock().remove(cluster);
    }

    /// What keeps the caches from being whole; empty if they are.
    pub(crate) fn missing(&self) -> Vec<String> {
        let missing = self.versions.iter().filter(|(_, version)| !version.synced.load(Ordering::Acquire));
        missing
            .map(|(watched, version)| match &*version.problem.lock() {
                Some(problem) => format!("{watched:?}: {problem}"),
                None => format!("{watched:?}: the first list is not complete"),
            })
            .collect()
    }

    /// Every cluster is looked at again.
    pub(crate) fn mark_all(&self) {
        for cluster in self.clusters.state() {
            self.dirty.mark(ObjectRef::from_obj(&cluster));
        }
    }

    /// Keeps count of what a watch has shown; the cache must hold it already.
    fn follow(&self, watched: Watched, shown: Shown, began: &mut u64) {
        let version = &self.versions[&watched];
        match shown {
            Shown::Start => *began = version.written.load(Ordering::Acquire),
            Shown::Object(shown) => drop(version.seen.fetch_max(shown, Ordering::AcqRel)),
            Shown::End => {
                version.seen.fetch_max(*began, Ordering::AcqRel);
                version.synced.store(true, Ordering::Release);
                *version.problem.lock() = None;
                self.mark_all();
            }
        }
    }

    fn failed(&self, watched: Watched, error: &watcher::Error) {
        let problem = problem(watched, error);
        warn!(kind = ?watched, problem, "a watch failed and is opened again");
        *self.versions[&watched].problem.lock() = Some(problem);
    }
}

/// What an event says of the versions that a cache holds.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// A list begins.
    Start,
    /// An object of this version.
    Object(u64),
    /// The list is whole.
    End,
}

impl Shown {
    fn of<K: ResourceExt>(event: &Event<K>) -> Self {
        match event {
            Event::Init => Self::Start,
            Event::InitDone => Self::End,
            Event::Apply(object) | Event::Delete(object) | Event::InitApply(object) => {
                let version = object.resource_version().and_then(|version| version.parse().ok());
                Self::Object(version.unwrap_or(0))
            }
        }
    }
}

/// What the watches of a scope have in common.
struct Starter<'a> {
    progress: &'a Progress,
    metrics: &'a Arc<Metrics>,
    reopen: &'a watch::Receiver<u64>,
    tasks: &'a mut JoinSet<()>,
    caches: Arc<Caches>,
}

impl Starter<'_> {
    /// The clusters themselves. One that cannot be read must not stop the watch of the others.
    fn clusters(&mut self, api: Api<DeserializeGuard<ActorCluster>>, mut writer: Writer<ActorCluster>) {
        let caches = self.caches.clone();
        self.watch(Watched::Clusters, api, None, move |event| {
            let Some(event) = readable(event) else { return };
            writer.apply_watcher_event(&event);
            if let Event::Apply(cluster) | Event::Delete(cluster) = &event {
                caches.dirty.mark(ObjectRef::from_obj(cluster));
            }
        });
    }

    /// Fills a cache, and marks the cluster that `concerns` names: it gets the object and whether it is gone.
    fn cache<K>(
        &mut self,
        watched: Watched,
        api: Api<K>,
        labels: Option<String>,
        mut writer: Writer<K>,
        concerns: fn(&K, bool) -> Option<ClusterRef>,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Clone + Eq + Hash + Send + Sync,
    {
        let caches = self.caches.clone();
        self.watch(watched, api, labels, move |event| {
            let event = event.modify(|object| object.managed_fields_mut().clear());
            writer.apply_watcher_event(&event);
            let concerned = match &event {
                Event::Apply(object) => concerns(object, false),
                Event::Delete(object) => concerns(object, true),
                _ => None,
            };
            if let Some(cluster) = concerned {
                caches.dirty.mark(cluster);
            }
        });
    }

    fn watch<K>(
        &mut self,
        watched: Watched,
        api: Api<K>,
        labels: Option<String>,
        mut on_event: impl FnMut(Event<K>) + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let path = api.resource_url().to_owned();
        self.progress.expect(&path);
        let config =
            watcher::Config { label_selector: labels, ..watcher::Config::default().timeout(WATCH_SECONDS) };
        let (caches, metrics, mut reopen) = (self.caches.clone(), self.metrics.clone(), self.reopen.clone());
        self.tasks.spawn(async move {
            let mut began = 0;
            loop {
                let mut events = pin!(watcher(api.clone(), config.clone()).default_backoff());
                while let Some(event) = until_reopened(&mut events, &mut reopen).await {
                    match event {
                        Ok(event) => {
                            let shown = Shown::of(&event);
                            on_event(event);
                            caches.follow(watched, shown, &mut began);
                        }
                        Err(error) => {
                            metrics.watch_errors.with_label_values(&[&path]).inc();
                            caches.failed(watched, &error);
                        }
                    }
                }
                debug!(path, "the watch is opened anew");
            }
        });
    }
}

/// The next event; `None` if the watch is to be opened anew.
async fn until_reopened<S: Stream + Unpin>(
    events: &mut S,
    reopen: &mut watch::Receiver<u64>,
) -> Option<S::Item> {
    tokio::select! {
        event = events.next() => event,
        Ok(()) = reopen.changed() => None,
    }
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn scoped_child(client: &Client, namespace: Option<&str>, kind: Kind) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &api_resource(kind)),
        None => Api::all_with(client.clone(), &api_resource(kind)),
    }
}

fn managed() -> String {
    format!("app.kubernetes.io/managed-by={MANAGED_BY}")
}

/// The cluster that an object is labelled with.
fn owner(object: &impl ResourceExt) -> Option<ClusterRef> {
    let cluster = object.labels().get(CLUSTER_LABEL)?;
    Some(ObjectRef::new(cluster).within(&object.namespace()?))
}

/// The cluster of a page: its name begins the page's.
fn cluster_of_page(page: &impl ResourceExt) -> Option<ClusterRef> {
    let name = page.name_any();
    let (cluster, _) = name.rsplit_once('-')?;
    Some(ObjectRef::new(cluster).within(&page.namespace()?))
}

/// The event without the clusters that cannot be read; those are told in the log.
fn readable(event: Event<DeserializeGuard<ActorCluster>>) -> Option<Event<ActorCluster>> {
    let open = |guard: DeserializeGuard<ActorCluster>| match guard.0 {
        Ok(mut cluster) => {
            cluster.managed_fields_mut().clear();
            Some(cluster)
        }
        Err(invalid) => {
            let (name, namespace) = (&invalid.metadata.name, &invalid.metadata.namespace);
            error!(
                ?namespace,
                ?name,
                error = invalid.error,
                "an ActorCluster cannot be read; compare its definition with this operator's version"
            );
            None
        }
    };
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(guard) => Event::InitApply(open(guard)?),
        Event::Apply(guard) => Event::Apply(open(guard)?),
        Event::Delete(guard) => Event::Delete(open(guard)?),
    })
}

/// What is wrong with a watch, and what to do.
fn problem(watched: Watched, error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    let code = match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => status_code(error),
        _ => None,
    };
    let custom = matches!(watched, Watched::Clusters | Watched::Pages);
    match code {
        Some(404) if custom => "its definition is not installed; install the chart greenroom-crds".into(),
        Some(403) => format!("{error}; compare the operator's roles with the chart's"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
#[path = "watches_tests.rs"]
mod tests;
