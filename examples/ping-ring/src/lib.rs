//! Actors in a ring pass a ping on, each to the next, until it has made its hops.
//!
//! [`Peer`] is the actor; its key is `RING/PLACE`. The node program is `src/bin/node.rs`, the client that throws the ping in
//! is `src/main.rs`.

mod peer;
mod ring;

pub use peer::{Peer, PeerRef, Ping};
pub use ring::Ring;
