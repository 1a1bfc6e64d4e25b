//! The only thing a cluster needs from outside: a compare-and-set register with a watch, and who is present.
//!
//! What is promised, and nothing more (assumption A1 of the protocol): writes to one page, and reads, are linearizable.
//! A watch may show an old page, an answer may be lost, a write may land long after its sender gave up, and all of it
//! may be down. Presence is a hint for speed; no safety rests on it.
//!
//! Back ends: [`Embedded`] in this process, [`Remote`] over gRPC (served by [`serve`]), Kubernetes in a crate of its
//! own, and the simulation's with faults. One suite checks them all (`conformance`).

#[cfg(feature = "conformance")]
pub mod conformance;
mod embedded;
mod remote;
mod server;
mod wire;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use greenroom_core::map::Page;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use embedded::Embedded;
pub use remote::Remote;
pub use server::serve;

/// The version of a page: it grows with each write, and says nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

/// A page as it was at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// The version.
    pub version: Version,
    /// What stood there.
    pub content: T,
}

/// A node that runs now, and where it can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// The node's name, unique in its cluster.
    pub name: String,
    /// `host:port` of its mesh.
    pub mesh_address: String,
    /// `host:port` of its gateway.
    pub gateway_address: String,
    /// `host:port` of its admin service.
    pub admin_address: String,
    /// `host:port` of health and metrics.
    pub health_address: String,
    /// Its process id on its host.
    pub pid: u32,
}

/// Why a page cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The register does not answer now.
    #[error(
        "the coordination service does not answer ({0}); it is tried again, running shards go on meanwhile"
    )]
    Unavailable(String),
    /// The cluster has no such page.
    #[error(
        "the shard map has no page {page}: nobody has created it yet, or it is for fewer shards; see that the operator runs, and that the node is started with the map's number of shards"
    )]
    NoSuchPage {
        /// The page that was asked for.
        page: u16,
    },
}

/// Why a write did not surely happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The page is not at the base version; this is what stands there. Decide again.
    #[error("page {} has been changed by another node meanwhile (version {:?})", .0.content.page, .0.version)]
    Conflict(Box<Versioned<Page>>),
    /// It may have happened, may happen later, or never: repeat the same write until a newer version shows (R1).
    #[error("it is not known whether the write landed ({0}); it is repeated unchanged")]
    Unknown(String),
}

/// The compare-and-set register with a watch, and who is present.
pub trait Coordination: Send + Sync + 'static {
    /// The page as it is now. A back end reads through to the register, past all caches: whether a volume that was set
    /// back is recognised when its node starts rests on that.
    fn read(&self, page: u16) -> BoxFuture<'static, Result<Versioned<Page>, ReadError>>;

    /// Writes the page if its version is still `base`. Dropping the future leaves the outcome unknown.
    fn write(
        &self,
        page: u16,
        base: Version,
        content: Page,
    ) -> BoxFuture<'static, Result<Versioned<Page>, WriteError>>;

    /// The page as it is, then newer versions; it may skip some and never goes back. Ends only with the back end:
    /// after an outage it goes on by itself.
    fn watch(&self, page: u16) -> BoxStream<'static, Versioned<Page>>;

    /// Shows this node as present from the first poll of the stream until it is dropped, and yields who is present, in
    /// order of their names, at first and after each change.
    fn join(&self, me: Peer) -> BoxStream<'static, Vec<Peer>>;
}
