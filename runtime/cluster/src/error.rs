//! What a node's caller can be told about its place in the cluster.

use std::io;
use std::path::{Path, PathBuf};

use greenroom_core::map::Page;
use greenroom_core::{Epoch, Shard, ShardLayout};
use thiserror::Error;

use crate::registration::Refused;

/// Why a node cannot take part in its cluster. Each message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClusterError {
    /// The cluster does not take the store.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The log knows a later ownership than the map: the map was set back.
    #[error(
        "shard {shard} was already opened at epoch {log} by this store, but the shard map says epoch {map}: the map was \
         set back to an older copy. Restore the newest copy of the map, then start the node again"
    )]
    MapSetBack {
        /// The shard.
        shard: Shard,
        /// The epoch of the log's last record.
        log: Epoch,
        /// The epoch in the map.
        map: Epoch,
    },
    /// The map asks for copies that this version cannot keep.
    #[error(
        "shard {shard} has {copies} copies in the shard map; this version keeps one: run the version that made it"
    )]
    TooManyCopies {
        /// The shard.
        shard: Shard,
        /// How many stores are in its in-sync set.
        copies: usize,
    },
    /// The store cannot be read.
    #[error("cannot take over shard {shard}: {message}")]
    Store {
        /// The shard.
        shard: Shard,
        /// What the store said.
        message: String,
    },
    /// The map in the register is for another number of shards than the node was started with.
    #[error(
        "the shard map has {found} shards, {asked} were asked for: the number is fixed when a cluster is created; use {found}"
    )]
    OtherShardCount {
        /// What the map has.
        found: u16,
        /// What the configuration says.
        asked: u16,
    },
    /// The map in the register is for other groups than the node was started with.
    #[error(
        "the shard map is divided into {found} shards, {asked} were asked for: the groups and their shards are fixed when a \
         cluster is created; use the same again"
    )]
    OtherGroups {
        /// What the map has.
        found: String,
        /// What the configuration says.
        asked: String,
    },
    /// A page of the embedded map cannot be read.
    #[error("{} is no page of a shard map ({message}): restore it from a copy; without the map no shard can be served", .path.display())]
    DamagedPage {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        message: String,
    },
    /// The directory of the embedded map cannot be used.
    #[error("cannot keep the shard map in {}: {message}; make the directory writable", .directory.display())]
    MapDirectory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        message: String,
    },
    /// The address of the coordination service is none.
    #[error("{address:?} is no address of a coordination service ({message}): use HOST:PORT")]
    CoordinationAddress {
        /// What was given.
        address: String,
        /// What was wrong with it.
        message: String,
    },
    /// The node has been drained or stopped.
    #[error("the node has been stopped: start it again")]
    Stopped,
}

impl ClusterError {
    /// Refuses a page of another map.
    pub(crate) fn check_layout(page: &Page, layout: &ShardLayout) -> Result<(), Self> {
        if page.is_of(layout) {
            return Ok(());
        }
        if page.groups.is_empty() && layout.groups().is_empty() {
            return Err(Self::OtherShardCount { found: page.shards.get(), asked: layout.total().get() });
        }
        let of_groups: u32 = page.groups.iter().map(|group| u32::from(group.shards.get())).sum();
        let mut found = u32::from(page.shards.get()).saturating_sub(of_groups).to_string();
        page.groups.iter().for_each(|group| found += &format!(" and {}={}", group.name, group.shards.get()));
        Err(Self::OtherGroups { found, asked: layout.to_string() })
    }

    pub(crate) fn map_directory(directory: &Path, error: io::Error) -> Self {
        Self::MapDirectory { directory: directory.to_owned(), message: error.to_string() }
    }
}
