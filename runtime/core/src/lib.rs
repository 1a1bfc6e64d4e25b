//! The heart of Greenroom.
pub mod codec;
pub mod env;
pub mod identity;
pub mod journal;
pub mod map;
pub use codec::{ContentType, Payload};
pub use identity::{ActorId, ActorType, CallId, Epoch, Incarnation, Seq, Shard, ShardCount, StoreId};
