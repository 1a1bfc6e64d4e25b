//! Who owns which shard, and how calls get there.
//!
//! The protocol is written without I/O, one file per thing with a state: [`registration`] (how a store becomes a
//! member), [`assign`] (who gets which shard first), [`coordinator`] (what is written to the map), [`owner`] (how an
//! owner opens, serves and gives up a shard), [`map`] (the map as this node knows it).
//!
//! The rest does the I/O: [`coordination`] is the register with the map, [`driver`] feeds events to the protocol and
//! carries out its effects, [`router`] brings calls to the owner, [`network`] is the border to the [`mesh`].

pub mod assign;
pub mod coordination;
pub mod coordinator;
pub mod driver;
mod error;
pub mod map;
pub mod mesh;
pub mod network;
pub mod observed;
pub mod owner;
pub mod registration;
pub mod router;
pub mod shards;

pub use coordination::{Coordination, Embedded, Peer, Remote};
pub use driver::{Driver, DriverConfig, NodeState, Phase};
pub use error::ClusterError;
pub use map::ShardMap;
pub use network::{MeshHandler, MeshReply, MeshRequest, Network, NetworkError, PeerAddress};
pub use router::Router;
pub use shards::Shards;
