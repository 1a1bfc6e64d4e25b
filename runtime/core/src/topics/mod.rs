//! Topics: who publishes does not know who listens.
//!
//! A topic has a hierarchical name, `chat/lobby/12`. Its first segment is its **channel**: an actor of the internal type
//! `greenroom.Topic`, which keeps the subscriptions of all topics below it and hands each publication on. So a publication
//! goes through one actor, which is what gives it an order; and channels do not wait for each other.
//!
//! **How it reaches whom**: an instance that has subscribed durably, and the actor that a type's subscription names, by a
//! reliable message of the channel; so the publication and everything that it causes is one commit of the channel. A
//! subscription that lasts as long as an activation, by a message that is told.
//!
//! **Priorities**: a topic of which a subscription has one is handed to its `courier`, which calls one group of equal
//! priority after the other and waits for their answers. Nobody else waits.
//!
//! - `name`: names and patterns; `handler`: which methods can listen; `message`: what is published, and how it becomes
//!   the arguments of a handler.
//! - `topic`, `subscribe`: what users call.
//! - `channel`, `audience`: the actor, and whom it reaches; `courier`: priorities; `types`: subscriptions of types.

mod audience;
mod channel;
mod courier;
mod handler;
mod message;
mod name;
mod subscribe;
mod topic;
mod types;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use handler::{Answer, Handled, Handler};
pub use name::{MAX_TOPIC_BYTES, MAX_TOPIC_SEGMENTS, TopicNameError};
pub use subscribe::{Subscribe, Unsubscribe};
pub use topic::Topic;

pub(crate) use channel::Channel;
pub(crate) use courier::Courier;
pub(crate) use name::{Pattern, channel, has_wildcards, matches};
pub(crate) use topic::Publication;
pub(crate) use types::{TypeSubscription, TypeSubscriptions};

use crate::identity::ActorId;

/// How many subscriptions a channel keeps: those of instances, and as many of activations.
pub const MAX_SUBSCRIPTIONS: u64 = 100_000;
/// How many patterns with wildcards they may have: each publication is compared with all of them.
pub const MAX_WILDCARD_PATTERNS: usize = 1_000;
/// How many subscriptions may match one publication.
pub const MAX_AUDIENCE: usize = 10_000;
/// How much one publication may write: its message once for each subscription that is kept.
pub const MAX_PUBLICATION_BYTES: usize = 16 << 20;

/// Who listens, and with which method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) actor: ActorId,
    pub(crate) method: SmolStr,
    /// The names of the handler's arguments: the message, or the topic and the message.
    pub(crate) arguments: Vec<SmolStr>,
    /// Higher ones come first.
    #[serde(default)]
    pub(crate) priority: i32,
    /// Its answer says whether it consumes the message.
    #[serde(default)]
    pub(crate) consumes: bool,
}

impl Subscription {
    /// What tells it from the others of its pattern. No method has a space in its name.
    pub(crate) fn id(&self) -> String {
        format!("{} {}", self.method, self.actor)
    }
}
