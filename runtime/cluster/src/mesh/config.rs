//! Who this node is in the mesh, and the limits of a link.

use std::time::Duration;

use greenroom_core::env::SharedEnv;
use greenroom_core::map::NodeRun;
use greenroom_tls::{Acceptor, Connector, Tls, TlsError};

/// A node as it introduces itself: its name and the run it is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeIdentity {
    /// The node's name, e.g. `counters-0`.
    pub name: String,
    /// Its store and incarnation.
    pub run: NodeRun,
}

/// What a mesh is made with.
#[derive(Clone)]
pub struct MeshConfig {
    /// Who this node is.
    pub me: NodeIdentity,
    /// The cluster's name; nodes of other clusters are refused.
    pub cluster: String,
    /// The limits.
    pub limits: MeshLimits,
    /// Randomness and tasks.
    pub env: SharedEnv,
    /// Who may be at the other end of a link; `None`: whoever says the right hello, over plain TCP.
    pub tls: Option<MeshTls>,
}

/// Mutual TLS for all links: both ends must have the identity of this cluster's nodes.
#[derive(Clone)]
pub struct MeshTls {
    pub(super) acceptor: Acceptor,
    pub(super) connector: Connector,
}

impl MeshTls {
    /// With the certificate that `tls` holds; `node` is the identity that all nodes of this cluster share.
    pub fn new(tls: &Tls, node: &str) -> Result<Self, TlsError> {
        let acceptor = Acceptor::new(tls.clone(), [node])?;
        Ok(Self { acceptor, connector: Connector::new(tls.clone(), node)? })
    }
}

/// The limits of a link. Passing one is a named error of the one call concerned, never the end of the link.
///
/// They must agree with each other: `max_message_bytes` + 256 KiB (a batch that one more message joins) fits into
/// `max_frame_bytes`; [`Mesh::new`](super::Mesh::new) raises the latter if it does not. All nodes of a cluster should
/// have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeshLimits {
    /// The largest frame that is read; a larger one ends the link, for its sender did not keep the limits.
    pub max_frame_bytes: usize,
    /// The largest call or reply, with its envelope.
    pub max_message_bytes: usize,
    /// How many requests may be in flight on a link, in each direction.
    pub max_in_flight_per_link: usize,
    /// How many bytes of requests may wait to be written to a link.
    pub max_waiting_bytes: usize,
    /// How long the other node has for connection and hello; also how long it has to close a retired link.
    pub handshake_timeout: Duration,
    /// How long a silent link is left before the other node is asked for a sign of life, and how long it has for it.
    pub keep_alive: Duration,
}

impl Default for MeshLimits {
    fn default() -> Self {
        Self {
            max_frame_bytes: 8 << 20,
            max_message_bytes: 4 << 20,
            max_in_flight_per_link: 16_384,
            max_waiting_bytes: 64 << 20,
            handshake_timeout: Duration::from_secs(3),
            keep_alive: Duration::from_secs(5),
        }
    }
}

/// A frame takes at most so many envelopes; enough to make the cost of a frame small beside that of its calls.
pub(super) const BATCH_ENVELOPES: usize = 64;
/// A frame takes no further envelope once it holds so many bytes.
pub(super) const BATCH_BYTES: usize = 256 << 10;
/// Frames that wait in the transport. Small, so that the queue and with it the batches grow when the network is slow.
pub(super) const FRAMES_IN_TRANSPORT: usize = 8;
/// HTTP/2 flow control windows of a stream and of a connection: a frame must never wait for a window update halfway.
pub(super) const WINDOW_BYTES: u32 = 8 << 20;

impl MeshLimits {
    /// These limits with room in a frame for the largest message behind a full batch.
    pub(super) fn consistent(mut self) -> Self {
        self.max_frame_bytes = self.max_frame_bytes.max(self.max_message_bytes + BATCH_BYTES);
        self
    }
}
