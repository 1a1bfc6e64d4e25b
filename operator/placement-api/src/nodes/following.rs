//! Mirrors of the clusters that are watched, kept up with the nodes.
//!
//! One [`Live`] per cluster serves all its watchers; it goes when the last of them does. A task per node opens the node's
//! stream of changes *from the stamp at which the mirror begins*, then lists the node as background, then takes in the
//! stream. If a node has forgotten changes since then, nobody can tell what was missed, and watchers must list again;
//! unless its only process began later, so that nobody can know anything of it.
//!
//! A stream that breaks is opened again from where it was. If the node has forgotten that (its process is another one),
//! the node is listed, and watchers are told the difference.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use greenroom_proto::v1;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::clock::Clock;
use super::directory::Directory;
use super::mirror::{HISTORY_MAX, Mirror};
use super::pool::{NodeError, PATIENCE, Pool};
use super::{ClusterId, NodePod, Nodes, moment};

/// How far the clocks of a host and the nodes may be apart, in microseconds.
const SKEW: u64 = 1_000_000;
/// How long until a node is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Placements per page when a node is listed whole.
const PAGE: u32 = 10_000;

/// A node has forgotten what watchers would have to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired;

/// All mirrors.
pub struct Following {
    pool: Arc<Pool>,
    directory: Directory,
    clock: Arc<Clock>,
    live: Mutex<HashMap<ClusterId, Weak<Live>>>,
}

/// The mirror of a cluster that is watched.
pub struct Live {
    /// What is known.
    pub mirror: Mutex<Mirror>,
    shared: Arc<Shared>,
    _supervisor: AbortOnDropHandle<()>,
}

struct Shared {
    begins: u64,
    started: Instant,
    progress: watch::Sender<Progress>,
}

/// What watchers wait for.
#[derive(Debug, Clone, Default)]
struct Progress {
    /// Counts everything that happens.
    events: u64,
    /// The nodes that have not been heard yet, of those that were there at the beginning.
    awaited: HashMap<Arc<str>, Arc<str>>,
    expired: bool,
}

impl Live {
    /// Tells when something has happened since the last call.
    pub fn changes(&self) -> watch::Receiver<impl Sized + use<>> {
        self.shared.progress.subscribe()
    }

    /// Whether watchers must list again.
    pub fn is_expired(&self) -> bool {
        self.shared.progress.borrow().expired
    }
}

impl Following {
    /// Without mirrors.
    pub fn new(pool: Arc<Pool>, directory: Directory, clock: Arc<Clock>) -> Self {
        Self { pool, directory, clock, live: Mutex::default() }
    }

    /// How many clusters are watched.
    pub fn len(&self) -> usize {
        self.live.lock().values().filter(|live| live.strong_count() > 0).count()
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The mirror of a cluster for somebody who knows its state of this stamp, or nothing, once every node has been heard
    /// or has had its time. Also says which nodes were not heard.
    pub async fn follow(
        &self,
        cluster: &ClusterId,
        since: Option<u64>,
    ) -> Result<(Arc<Live>, Vec<Arc<str>>), Expired> {
        let live = match self.known(cluster, since) {
            Some(live) => live,
            None => {
                let nodes = self.directory.nodes().unwrap_or_default();
                let nodes = nodes.get(cluster).map(Vec::as_slice).unwrap_or_default();
                let begins = match since {
                    Some(stamp) => stamp,
                    None => moment::common(&self.pool, &self.clock, nodes.iter()).await.stamp,
                };
                self.start(cluster, begins)
            }
        };
        let mut progress = live.shared.progress.subscribe();
        let heard = progress.wait_for(|progress| progress.expired || progress.awaited.is_empty());
        let _ = tokio::time::timeout(PATIENCE, heard).await;
        let progress = progress.borrow().clone();
        if progress.expired { Err(Expired) } else { Ok((live, progress.awaited.into_values().collect())) }
    }

    /// The mirror that is there, if it reaches back far enough.
    fn known(&self, cluster: &ClusterId, since: Option<u64>) -> Option<Arc<Live>> {
        let live = self.live.lock().get(cluster)?.upgrade()?;
        let reaches = since.is_none_or(|since| live.mirror.lock().position(since).is_ok());
        (reaches && !live.is_expired()).then_some(live)
    }

    /// A new mirror, which takes the place of one that does not reach back far enough.
    fn start(&self, cluster: &ClusterId, begins: u64) -> Arc<Live> {
        let nodes = self.directory.nodes().unwrap_or_default();
        let first = nodes.get(cluster).cloned().unwrap_or_default();
        let awaited = first.iter().map(|node| (node.uid.clone(), node.name.clone())).collect();
        let progress = watch::Sender::new(Progress { awaited, ..Progress::default() });
        let shared = Arc::new(Shared { begins, started: Instant::now(), progress });
        let live = Arc::new_cyclic(|live: &Weak<Live>| {
            let mut mirror = Mirror::new(begins, HISTORY_MAX);
            first.iter().for_each(|node| mirror.joined(node));
            let supervisor = Supervisor {
                cluster: cluster.clone(),
                live: live.clone(),
                shared: shared.clone(),
                pool: self.pool.clone(),
                clock: self.clock.clone(),
            };
            let task = tokio::spawn(supervisor.run(first, self.directory.changes()));
            Live { mirror: Mutex::new(mirror), shared, _supervisor: AbortOnDropHandle::new(task) }
        });
        let mut all = self.live.lock();
        all.retain(|_, live| live.strong_count() > 0);
        all.insert(cluster.clone(), Arc::downgrade(&live));
        live
    }
}

/// Starts and ends the tasks of a cluster's nodes.
#[derive(Clone)]
struct Supervisor {
    cluster: ClusterId,
    live: Weak<Live>,
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    clock: Arc<Clock>,
}

impl Supervisor {
    async fn run(self, first: Vec<Arc<NodePod>>, mut changes: watch::Receiver<Option<Arc<Nodes>>>) {
        let mut tasks = JoinSet::new();
        let mut nodes = HashMap::new();
        for node in first {
            let handle = tasks.spawn(self.clone().node(node.clone(), Start::First));
            nodes.insert(node.uid.clone(), handle);
        }
        loop {
            let now = changes.borrow_and_update().clone().unwrap_or_default();
            let now = now.get(&self.cluster).map(Vec::as_slice).unwrap_or_default();
            nodes.retain(|uid, handle| {
                let stays = now.iter().any(|node| node.uid == *uid);
                if !stays {
                    handle.abort();
                    let stamp = self.clock.stamp();
                    self.update(|mirror| mirror.vanished(uid, stamp));
                    self.heard(uid);
                }
                stays
            });
            for node in now {
                if !nodes.contains_key(&node.uid) {
                    self.update(|mirror| mirror.joined(node));
                    let handle = tasks.spawn(self.clone().node(node.clone(), Start::Joined));
                    nodes.insert(node.uid.clone(), handle);
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Changes the mirror, if anybody still looks at it, and wakes the watchers.
    fn update(&self, change: impl FnOnce(&mut Mirror)) {
        let Some(live) = self.live.upgrade() else { return };
        change(&mut live.mirror.lock());
        self.shared.progress.send_modify(|progress| progress.events += 1);
    }

    fn heard(&self, uid: &str) {
        self.shared.progress.send_modify(|progress| {
            progress.awaited.remove(uid);
        });
    }

    /// Follows one node for ever.
    async fn node(self, node: Arc<NodePod>, start: Start) {
        let mut from = match start {
            Start::First => From::Begin,
            Start::Joined => From::Nothing,
        };
        loop {
            let outcome = self.stream(&node, &mut from).await;
            debug!(node = %node.name, cluster = %self.cluster.name, ?outcome, "the stream of a node ended");
            match (outcome, &from) {
                (Err(NodeError::Forgotten), From::Begin) if !self.began_later(&node) => {
                    self.shared.progress.send_modify(|progress| progress.expired = true);
                    return;
                }
                // What it held is listed anew, and the difference told.
                (Err(NodeError::Forgotten), _) => from = From::Nothing,
                _ => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Whether nobody can know anything of the node at the stamp where the mirror begins.
    fn began_later(&self, node: &NodePod) -> bool {
        node.only_process_since.is_some_and(|since| since > self.shared.begins + SKEW)
    }

    async fn stream(&self, node: &Arc<NodePod>, from: &mut From) -> Result<(), NodeError> {
        let mut stream = match from {
            From::Begin => {
                let stream = self.pool.changes(node, self.shared.begins).await?;
                let (placements, stamp) = self.list(node).await?;
                let late = self.shared.started.elapsed() > PATIENCE;
                self.update(|mirror| match late {
                    // Watchers began without this node, and may know nothing of it.
                    true => mirror.resynced(node, placements, stamp),
                    false => mirror.listed(node, placements),
                });
                *from = From::Stamp(self.shared.begins);
                stream
            }
            From::Nothing => {
                let (placements, stamp) = self.list(node).await?;
                self.update(|mirror| mirror.resynced(node, placements, stamp));
                *from = From::Stamp(stamp);
                self.pool.changes(node, stamp).await?
            }
            From::Stamp(stamp) => self.pool.changes(node, *stamp).await?,
        };
        self.heard(&node.uid);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            self.clock.observe(batch.stamp);
            let told = batch.stamp;
            self.update(|mirror| take(mirror, node, batch));
            *from = From::Stamp(told);
        }
        Ok(())
    }

    /// All placements of a node, and the stamp before it began to look.
    async fn list(&self, node: &Arc<NodePod>) -> Result<(Vec<v1::Placement>, u64), NodeError> {
        let mut request = v1::PlacementsRequest {
            page_size: PAGE,
            after: self.shared.begins,
            ..v1::PlacementsRequest::default()
        };
        let (mut placements, mut stamp) = (Vec::new(), None);
        loop {
            let page = self.pool.page(node, request.clone()).await?;
            stamp.get_or_insert(page.stamp);
            placements.extend(page.placements);
            if page.next_page_token.is_empty() {
                return Ok((placements, stamp.unwrap_or_default()));
            }
            request.page_token = page.next_page_token;
        }
    }
}

fn take(mirror: &mut Mirror, node: &Arc<NodePod>, batch: v1::PlacementChanges) {
    for change in batch.changes {
        let Some(placement) = change.placement else { continue };
        match change.gone {
            true => mirror.gone(node, placement, change.stamp),
            false => mirror.activated(node, placement, change.stamp),
        }
    }
    mirror.progressed(node, batch.stamp);
}

/// How a node came to be followed.
#[derive(Debug, Clone, Copy)]
enum Start {
    /// It was there when the mirror began.
    First,
    /// It came later.
    Joined,
}

/// From where a node is followed.
#[derive(Debug, Clone, Copy)]
enum From {
    /// From where the mirror begins.
    Begin,
    /// Nothing is known of it.
    Nothing,
    /// Everything up to this stamp is known.
    Stamp(u64),
}
