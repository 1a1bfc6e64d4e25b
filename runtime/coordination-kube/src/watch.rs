//! One watch per page, for as long as the stream lives.
//!
//! It begins with a read, then watches the one object by its name. The API server ends a watch after a few minutes, and
//! the next one goes on from the last version heard of. That may be too old for the server to go on from; then the watch
//! begins with what the server has now. The same way it begins after the read: the page's own version would not do,
//! for a page that has not changed for long is older than everything the server remembers, and it would never accept
//! it (410) however often the page was read again.
//!
//! **Invariant**: only what is newer than all that was shown is shown, so it does not matter that a server may begin
//! with something older than the read. A page that does not exist yet shows when it is created.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{StreamExt, TryStreamExt};
use greenroom_cluster::coordination::{Version, Versioned};
use greenroom_core::env::SharedEnv;
use greenroom_core::map::Page;
use kube::Error;
use kube::api::{DynamicObject, WatchEvent, WatchParams};

use crate::complaint::Complaint;
use crate::pages::{Pages, in_time};
use crate::pause::Pauses;

/// How long a watch is asked for. Load balancers cut connections that are older than four minutes.
const WATCH_SECONDS: u32 = 200;
/// A watch that says nothing for longer than it was asked for is dead.
const SILENT_AT_MOST: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// As a version to watch from: what the server has now, then what comes.
const FROM_NOW: &str = "0";

type Events = BoxStream<'static, Result<WatchEvent<DynamicObject>, Error>>;

/// The page as it is, then newer versions.
pub(crate) fn watch(
    pages: Arc<Pages>,
    page: u16,
    env: SharedEnv,
) -> impl Stream<Item = Versioned<Page>> + Send + 'static {
    let Some(name) = pages.name(page) else { return stream::pending().boxed() };
    let watch = PageWatch {
        complaint: Complaint::about(format!("watching ShardMap {name}")),
        pages,
        page,
        name,
        pauses: Pauses::new(env),
        stage: Stage::Read,
        from: FROM_NOW.to_owned(),
        shown: Version(0),
    };
    stream::unfold(watch, |mut watch| async move { Some((watch.next().await, watch)) }).boxed()
}

struct PageWatch {
    pages: Arc<Pages>,
    page: u16,
    name: String,
    complaint: Complaint,
    pauses: Pauses,
    stage: Stage,
    /// The version from which the next watch goes on.
    from: String,
    /// The newest version that was shown.
    shown: Version,
}

enum Stage {
    /// Nothing has been asked yet.
    Read,
    /// There is no watch now.
    Closed,
    Open(Events),
}

impl PageWatch {
    async fn next(&mut self) -> Versioned<Page> {
        loop {
            if let Some(newer) = self.step().await.filter(|page| page.version > self.shown) {
                self.shown = newer.version;
                return newer;
            }
        }
    }

    /// One answer of the API server; a page, if it has one.
    async fn step(&mut self) -> Option<Versioned<Page>> {
        match &mut self.stage {
            Stage::Read => {
                self.stage = Stage::Closed;
                // If that fails, the watch itself shows the page as soon as it can.
                self.pages.read(self.page).await.ok()
            }
            Stage::Closed => {
                match self.open().await {
                    Ok(events) => self.stage = Stage::Open(events),
                    Err(error) => self.broken(error).await,
                }
                None
            }
            Stage::Open(events) => match tokio::time::timeout(SILENT_AT_MOST, events.next()).await {
                Ok(Some(Ok(event))) => self.event(event).await,
                Ok(Some(Err(error))) => {
                    self.broken(error).await;
                    None
                }
                Ok(None) | Err(_) => {
                    // Ended, as it was to. A short pause, in case it ends at once each time.
                    self.stage = Stage::Closed;
                    self.pauses.pause().await;
                    None
                }
            },
        }
    }

    async fn open(&mut self) -> Result<Events, Error> {
        let only_this = WatchParams::default().fields(&format!("metadata.name={}", self.name));
        let parameters = only_this.timeout(WATCH_SECONDS);
        Ok(in_time(self.pages.api.watch(&parameters, &self.from)).await?.into_stream().boxed())
    }

    async fn event(&mut self, event: WatchEvent<DynamicObject>) -> Option<Versioned<Page>> {
        let object = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => object,
            WatchEvent::Bookmark(bookmark) => {
                self.heard(bookmark.metadata.resource_version);
                return None;
            }
            WatchEvent::Deleted(object) => {
                self.heard(object.metadata.resource_version.unwrap_or_default());
                self.complaint
                    .say("the page was deleted; restore it from a copy, its shards have no owner without it");
                return None;
            }
            WatchEvent::Error(status) => {
                self.broken(Error::Api(status)).await;
                return None;
            }
        };
        self.heard(object.metadata.resource_version.clone().unwrap_or_default());
        match self.pages.learn(self.page, object) {
            Ok(page) => {
                self.complaint.take_back();
                Some(page)
            }
            Err(message) => {
                self.complaint.say(&message);
                None
            }
        }
    }

    fn heard(&mut self, version: String) {
        self.pauses.begin_again();
        self.from = version;
    }

    async fn broken(&mut self, error: Error) {
        self.stage = Stage::Closed;
        match &error {
            Error::Api(status) if status.code == 410 => self.from = FROM_NOW.to_owned(),
            _ => self.complaint.say(&self.pages.explain(&error)),
        }
        self.pauses.pause().await;
    }
}
