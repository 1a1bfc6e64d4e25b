//! What can go wrong with a store: when it is opened ([`StoreError`]) and while it runs ([`Failure`]).

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::chain::Damage;
use crate::engine::EngineError;

/// Why a store cannot be opened, read or closed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, e.g. `rename`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("the store in {} is in use{}: stop that node first, or choose another directory", dir.display(), by(*pid))]
    Locked {
        /// The store directory.
        dir: PathBuf,
        /// That process, if the lock file names it.
        pid: Option<u32>,
    },
    /// The store was written by another version.
    #[error(
        "the store in {} has format {found}, this version knows format {known} only: run the version that wrote it, \
         or start with an empty directory",
        dir.display()
    )]
    Format {
        /// The store directory.
        dir: PathBuf,
        /// The format on disk.
        found: u32,
        /// The format of this version.
        known: u32,
    },
    /// The store belongs to another cluster.
    #[error(
        "the store in {} belongs to cluster {found:?}, not to {wanted:?}: give this cluster a directory of its own",
        dir.display()
    )]
    Cluster {
        /// The store directory.
        dir: PathBuf,
        /// The cluster that it belongs to.
        found: String,
        /// The cluster that was to use it.
        wanted: String,
    },
    /// The cluster has refused the store for good.
    #[error("the store in {} was refused by its cluster and stays refused: {why}", dir.display())]
    Refused {
        /// The store directory.
        dir: PathBuf,
        /// What the cluster said.
        why: String,
    },
    /// The store is kept by another engine.
    #[error(
        "the store in {} is kept by engine {found:?}, not by {wanted:?}: configure that engine, or start with an empty \
         directory",
        dir.display()
    )]
    EngineName {
        /// The store directory.
        dir: PathBuf,
        /// The engine that wrote it.
        found: String,
        /// The engine that was to read it.
        wanted: String,
    },
    /// `store.json` cannot be understood.
    #[error("{} is damaged ({message}): restore the whole directory from a backup", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// There is data, but nothing says whose.
    #[error(
        "{} has a database but no store.json: restore store.json from a backup, or move the database away to start \
         empty",
        dir.display()
    )]
    NoIdentity {
        /// The store directory.
        dir: PathBuf,
    },
    /// The store has run before, but its database is gone.
    #[error(
        "{} has no database, though it was run {incarnation} times: restore it from a backup, or remove store.json too \
         to start empty, as a new store",
        dir.display()
    )]
    NoData {
        /// The store directory.
        dir: PathBuf,
        /// How often it was opened.
        incarnation: u64,
    },
    /// The SQLite in this program is too old to be trusted.
    #[error("SQLite {found} can corrupt its write-ahead log: build with 3.51.3 or newer")]
    OldSqlite {
        /// Its version.
        found: &'static str,
    },
    /// The committer thread cannot be started.
    #[error("cannot start the committer thread: {0}; raise the limit on threads")]
    Thread(#[source] io::Error),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

/// Names the action and the file of an I/O error.
pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

/// Why a running store cannot go on.
#[derive(Debug, Error)]
pub enum Failure {
    /// A record that must not be written.
    #[error("refused to write: {0}")]
    Damage(#[from] Damage),
    /// A write or sync failed.
    #[error("a commit could not be made durable: {0}; check the volume, then start the node again")]
    Write(#[from] EngineError),
    /// The committer or the sink panicked.
    #[error("the committer panicked: {0}")]
    Panic(String),
}
