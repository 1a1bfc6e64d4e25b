//! The register inside this process, in memory or in a directory: for `Runtime::local()`, tests, and the parent
//! process of `greenroom dev`, which serves it to its nodes.
//!
//! In a directory each page is one JSON file, `page-N.json`, with its version inside. A write goes to a temporary
//! name, is synced, and takes the place of the old file by a rename, so a crash leaves the old page or the new one.
//! If that fails half-way, memory stays at the old version and the writer is told that the outcome is unknown, which
//! it is: after a restart the newer file may be there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use greenroom_core::ShardLayout;
use greenroom_core::map::Page;
use parking_lot::Mutex;

use super::{Coordination, Peer, ReadError, Version, Versioned, WriteError};
use crate::ClusterError;
use crate::observed::Observed;

/// The register inside this process. A cheap clone of one shared register.
#[derive(Clone)]
pub struct Embedded(Arc<Register>);

struct Register {
    layout: ShardLayout,
    pages: Vec<PageCell>,
    directory: Option<PathBuf>,
    present: Observed<Present>,
}

/// The lock makes compare, persist and publish one step; watchers read beside it.
struct PageCell {
    write: Mutex<()>,
    current: Observed<Versioned<Page>>,
}

/// Present nodes by name. The number tells two joins of one name apart: a node that was restarted may be back before
/// the end of its earlier stream is noticed.
#[derive(Default, Clone)]
struct Present {
    joins: u64,
    peers: BTreeMap<String, (u64, Peer)>,
}

impl Present {
    fn list(&self) -> Vec<Peer> {
        self.peers.values().map(|(_, peer)| peer.clone()).collect()
    }
}

impl Embedded {
    /// An empty map that is gone when the process is.
    pub fn memory(layout: impl Into<ShardLayout>) -> Self {
        let layout = layout.into();
        let pages = (0..layout.pages()).map(|page| first_version(page, &layout)).collect();
        Self::new(layout, pages, None)
    }

    /// The map kept in this directory, which is created if it is not there.
    pub fn directory(directory: &Path, layout: impl Into<ShardLayout>) -> Result<Self, ClusterError> {
        let layout = layout.into();
        let failed = |e: io::Error| ClusterError::map_directory(directory, e);
        fs::create_dir_all(directory).map_err(failed)?;
        let mut pages = Vec::new();
        for page in 0..layout.pages() {
            let path = page_path(directory, page);
            let content = match fs::read(&path) {
                Ok(bytes) => parse(&bytes).map_err(|message| ClusterError::DamagedPage { path, message })?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => first_version(page, &layout),
                Err(error) => return Err(failed(error)),
            };
            ClusterError::check_layout(&content.content, &layout)?;
            pages.push(content);
        }
        Ok(Self::new(layout, pages, Some(directory.to_owned())))
    }

    fn new(layout: ShardLayout, pages: Vec<Versioned<Page>>, directory: Option<PathBuf>) -> Self {
        let cell = |page| PageCell { write: Mutex::new(()), current: Observed::new(page) };
        let pages = pages.into_iter().map(cell).collect();
        Self(Arc::new(Register { layout, pages, directory, present: Observed::default() }))
    }

    /// The shards that the map is for.
    pub fn layout(&self) -> &ShardLayout {
        &self.0.layout
    }

    /// Who is present, at first and after each change, without joining.
    pub fn watch_present(&self) -> BoxStream<'static, Vec<Peer>> {
        self.0.present.watch().into_stream().map(|present| present.list()).boxed()
    }
}

impl Register {
    fn page(&self, page: u16) -> Result<&PageCell, ReadError> {
        self.pages.get(usize::from(page)).ok_or(ReadError::NoSuchPage { page })
    }

    fn write(&self, page: u16, base: Version, content: Page) -> Result<Versioned<Page>, WriteError> {
        let cell = self.page(page).map_err(|e| WriteError::Unknown(e.to_string()))?;
        let _one_writer = cell.write.lock();
        let current = cell.current.get();
        if current.version != base {
            return Err(WriteError::Conflict(Box::new(current)));
        }
        let next = Versioned { version: Version(base.0 + 1), content };
        if let Some(directory) = &self.directory {
            persist(directory, &next).map_err(|e| WriteError::Unknown(e.to_string()))?;
        }
        cell.current.set(next.clone());
        Ok(next)
    }
}

impl Coordination for Embedded {
    fn read(&self, page: u16) -> BoxFuture<'static, Result<Versioned<Page>, ReadError>> {
        let read = self.0.page(page).map(|cell| cell.current.get());
        futures_util::future::ready(read).boxed()
    }

    fn write(
        &self,
        page: u16,
        base: Version,
        content: Page,
    ) -> BoxFuture<'static, Result<Versioned<Page>, WriteError>> {
        let register = self.0.clone();
        if register.directory.is_none() {
            return futures_util::future::lazy(move |_| register.write(page, base, content)).boxed();
        }
        async move {
            let write = tokio::task::spawn_blocking(move || register.write(page, base, content));
            write.await.unwrap_or_else(|e| Err(WriteError::Unknown(e.to_string())))
        }
        .boxed()
    }

    fn watch(&self, page: u16) -> BoxStream<'static, Versioned<Page>> {
        match self.0.page(page) {
            Ok(cell) => cell.current.watch().into_stream(),
            Err(_) => futures_util::stream::pending().boxed(),
        }
    }

    fn join(&self, me: Peer) -> BoxStream<'static, Vec<Peer>> {
        let name = me.name.clone();
        let mut join = 0;
        self.0.present.update(|present| {
            present.joins += 1;
            join = present.joins;
            present.peers.insert(me.name.clone(), (join, me));
            true
        });
        let leave = Leave { register: self.0.clone(), name, join };
        let changes = self.0.present.watch().into_stream();
        changes.map(move |present| (&leave, present.list()).1).boxed()
    }
}

/// Ends a node's presence when its stream is dropped.
struct Leave {
    register: Arc<Register>,
    name: String,
    join: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.register.present.update(|present| {
            let ours = present.peers.get(&self.name).is_some_and(|(join, _)| *join == self.join);
            ours && present.peers.remove(&self.name).is_some()
        });
    }
}

fn first_version(page: u16, layout: &ShardLayout) -> Versioned<Page> {
    Versioned { version: Version(1), content: Page::empty(page, layout) }
}

fn page_path(directory: &Path, page: u16) -> PathBuf {
    directory.join(format!("page-{page}.json"))
}

fn parse(bytes: &[u8]) -> Result<Versioned<Page>, String> {
    serde_json::from_slice(bytes).map_err(|e| e.to_string())
}

fn persist(directory: &Path, page: &Versioned<Page>) -> io::Result<()> {
    let path = page_path(directory, page.content.page);
    let temporary = path.with_extension("json.new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(page)?)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    // The rename itself is on disk only when the directory is.
    File::open(directory)?.sync_all()
}
