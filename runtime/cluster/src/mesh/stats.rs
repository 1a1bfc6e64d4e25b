//! What the mesh counts, for the node's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the start of the mesh. Every count is exact; counts of one moment may be one apart.
        #[derive(Debug, Default)]
        pub struct MeshStats {
            $(pub(super) $name: Counter,)*
        }

        /// The counters at one moment.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub struct MeshCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl MeshStats {
            /// Reads the counters.
            pub fn counts(&self) -> MeshCounts {
                MeshCounts { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Links that are open now, those that are being retired included.
    links,
    /// Links that were opened to a store that had had one before.
    reconnects,
    /// Dials that did not lead to a link.
    failed_dials,
    /// Frames received.
    frames_in,
    /// Frames sent.
    frames_out,
    /// Envelopes received.
    envelopes_in,
    /// Envelopes sent.
    envelopes_out,
    /// Bytes of received frames, without HTTP/2 and TLS.
    bytes_in,
    /// Bytes of sent frames, without HTTP/2 and TLS.
    bytes_out,
    /// Hellos that this node refused: wrong protocol, cluster, node, store or incarnation.
    refused_hellos,
    /// TLS handshakes that this node did not complete: no certificate, a wrong one, or no TLS at all.
    refused_handshakes,
    /// Links closed because the other node broke the protocol.
    protocol_errors,
    /// Connections closed that never said a valid hello: scanners, health checkers, random bytes.
    strangers,
    /// Requests of other nodes refused because too many were in flight.
    overloaded,
    /// One-way requests of other nodes.
    one_way_in,
    /// One-way requests of this node that were lost because their link ended before they were written.
    one_way_lost,
}

/// A relaxed counter: it orders nothing, it only counts.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }

    pub(super) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
