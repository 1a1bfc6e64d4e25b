//! The heart of Greenroom: who an actor is, how it is called, and how its turns run.
//!
//! No network, no disk and no Kubernetes: what a node needs of those comes in through three small traits.
//! [`Journal`](journal::Journal) is what commits are written to, [`Transport`](transport::Transport) carries calls to
//! other nodes, [`Env`](env::Env) gives time, tasks and randomness. So the simulation runs this very code.
//!
//! The way of a call: a typed reference ([`reference`]) makes a [`Call`](reference::Call); its transport brings it to
//! the owner's [`Engine`](engine::Engine); the engine finds or loads the activation and runs one turn; the turn's
//! changes go to the [`OwnedShard`](shard::OwnedShard) as one record; the reply waits at the shard's gate until that
//! record is durable.

pub mod actor;
mod broadcast;
pub mod call;
pub mod codec;
pub mod collections;
pub mod cx;
pub mod dead_letters;
pub mod engine;
pub mod env;
pub mod error;
pub mod filter;
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
pub mod index;
pub mod journal;
pub mod lanes;
pub mod layout;
pub mod map;
mod messages;
mod nesting;
pub mod program;
pub mod protobuf;
mod reentrant;
pub mod reference;
mod reminders;
pub mod request;
pub mod retry;
pub mod rows;
pub mod schedule;
pub mod shard;
mod shard_keys;
pub mod streams;
mod stripes;
mod sync;
mod timers;
pub mod topics;
pub mod trace;
pub mod transport;
pub mod workflow;

pub use actor::{Access, Actor, ActorOptions, Durability, Method, OnPanic};
pub use broadcast::broadcast;
pub use codec::{ContentType, Payload};
pub use collections::{CollectionError, Cursor, KeyEncode, List, Map, MapKey};
pub use cx::Cx;
pub use engine::OldState;
pub use error::{AppError, CallError, Result};
pub use identity::{ActorId, ActorType, CallId, Epoch, Incarnation, Seq, Shard, ShardCount, StoreId};
pub use layout::{Home, ShardGroup, ShardLayout, ShardRange};
pub use protobuf::Proto;
pub use reminders::{MAX_REMINDER_ARGUMENTS_BYTES, MAX_REMINDER_NAME_BYTES, Reminder};
pub use schedule::{Missed, Schedule};
pub use streams::{Feed, Items, ReplyStream, StreamCall, WhenFull};
pub use timers::{Ticks, Timer};
pub use topics::{Handled, Topic};
pub use workflow::{Flow, Step, Workflow};

/// What the code that the macros make refers to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use serde;

    pub use crate::actor::{
        Access, Actor, ActorMethods, ActorOptions, Concurrent, Durability, Exclusive, Field, Method,
        NotCopied, OnPanic,
    };
    pub use crate::cx::Cx;
    pub use crate::engine::{Hooks, MethodEntry, OldState};
    pub use crate::error::AppError;
    pub use crate::index::IndexedFields;
    pub use crate::layout::Home;
    pub use crate::protobuf;
    pub use crate::reference::{ActorRef, Call};
    pub use crate::streams::StreamCall;
    pub use crate::workflow::{Flow, Workflow};
}
