//! What an outbox keeps: messages that wait to be applied, and dead letters.
//!
//! A message's key is `sender ‖ lane ‖ epoch ‖ number`, so the messages of a sender stand in the order in which they are
//! to be sent. Of a message that is to be sent later it is `sender ‖ DELAYED ‖ due ‖ call id`. A dead letter's key is
//! `time ‖ call id`, so the oldest stand first.

use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::call::{Call, CallContext, Chain, Delivery};
use crate::codec::{Payload, read_stored};
use crate::dead_letters::DeadLetter;
use crate::identity::{ActorId, CallId, Epoch, Shard};
use crate::request::RequestContext;
use crate::rows::{RowChange, Space, actor_prefix, split_actor_prefix};

/// Messages as turns send them.
pub(crate) const IN_ORDER: u8 = 0;
/// Messages that the outbox has numbered: those that were delayed, and dead letters that are sent again.
pub(crate) const REQUEUED: u8 = 1;
/// Messages that are not due yet.
pub(crate) const DELAYED: u8 = 2;

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) target: ActorId,
    pub(crate) method: SmolStr,
    pub(crate) arguments: Payload,
    pub(crate) id: CallId,
    /// What the turn carried that sent it.
    #[serde(default, skip_serializing_if = "RequestContext::is_empty")]
    pub(crate) request: RequestContext,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In a lane: to be sent after all before it.
    Numbered { lane: u8, epoch: Epoch, number: u64 },
    /// Not before this time, milliseconds since 1970.
    Delayed { due: u64, id: CallId },
}

impl Place {
    pub(crate) fn key(self, from: &ActorId) -> Bytes {
        let mut key = actor_prefix(from);
        match self {
            Self::Numbered { lane, epoch, number } => {
                key.put_u8(lane);
                key.put_u64(epoch.0);
                key.put_u64(number);
            }
            Self::Delayed { due, id } => {
                key.put_u8(DELAYED);
                key.put_u64(due);
                key.put_u128(id.0);
            }
        }
        key.freeze()
    }

    /// Sender and place of the message with this key; `None` if it is none.
    pub(crate) fn read(key: &[u8]) -> Option<(ActorId, Self)> {
        let (from, rest) = split_actor_prefix(key)?;
        let (&lane, mut rest) = rest.split_first()?;
        let place = match (lane, rest.len()) {
            (DELAYED, 24) => Self::Delayed { due: rest.get_u64(), id: CallId(rest.get_u128()) },
            (IN_ORDER | REQUEUED, 16) => {
                Self::Numbered { lane, epoch: Epoch(rest.get_u64()), number: rest.get_u64() }
            }
            _ => return None,
        };
        Some((from, place))
    }
}

impl From<Call> for Message {
    fn from(call: Call) -> Self {
        let Call { target, method, arguments, context, .. } = call;
        Self { target, method, arguments, id: context.id, request: context.request }
    }
}

impl Message {
    pub(crate) fn row(&self, from: &ActorId, place: Place) -> RowChange {
        RowChange::put(Space::OUTBOX, place.key(from), encode(self))
    }

    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        read_stored(value).ok()
    }

    /// The call that applies it.
    pub(crate) fn call(&self, delivery: Delivery, deadline: tokio::time::Instant) -> Call {
        Call {
            target: self.target.clone(),
            method: self.method.clone(),
            arguments: self.arguments.clone(),
            context: CallContext {
                id: self.id,
                deadline,
                chain: Chain::default(),
                request: self.request.clone(),
            },
            delivery: Some(delivery.into()),
        }
    }
}

/// A dead letter as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) from: ActorId,
    pub(crate) message: Message,
    pub(crate) kind: String,
    pub(crate) error: String,
    pub(crate) at_unix_ms: u64,
}

impl Letter {
    pub(crate) fn key(&self) -> Bytes {
        let mut key = Vec::with_capacity(24);
        key.put_u64(self.at_unix_ms);
        key.put_u128(self.message.id.0);
        key.into()
    }

    pub(crate) fn row(&self) -> RowChange {
        RowChange::put(Space::DEAD_LETTER, self.key(), encode(self))
    }

    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        read_stored(value).ok()
    }

    /// When the letter with this key was given up.
    pub(crate) fn time(mut key: &[u8]) -> u64 {
        if key.len() < 8 { 0 } else { key.get_u64() }
    }

    /// As it is shown.
    pub(crate) fn shown(self, shard: Shard) -> DeadLetter {
        let id = LetterId { shard, key: self.key() }.to_string();
        let Self { from, message, kind, error, at_unix_ms } = self;
        let Message { target, method, .. } = message;
        DeadLetter { id, from: Some(from), target, method, kind, error, at_unix_ms, durable: true }
    }
}

/// The name of a durable dead letter: its shard and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LetterId {
    pub(crate) shard: Shard,
    pub(crate) key: Bytes,
}

impl std::fmt::Display for LetterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.shard, data_encoding::HEXLOWER.encode(&self.key))
    }
}

impl LetterId {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (shard, key) = text.split_once('-')?;
        let key = data_encoding::HEXLOWER_PERMISSIVE.decode(key.as_bytes()).ok()?;
        Some(Self { shard: Shard(shard.parse().ok()?), key: (key.len() == 24).then_some(key)?.into() })
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("these types have nothing that MessagePack lacks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_sender_and_place_and_stand_in_order() {
        let from: ActorId = "Bank/a".parse().unwrap();
        let places = [
            Place::Numbered { lane: IN_ORDER, epoch: Epoch(1), number: u64::MAX },
            Place::Numbered { lane: IN_ORDER, epoch: Epoch(2), number: 0 },
            Place::Numbered { lane: REQUEUED, epoch: Epoch(1), number: 3 },
            Place::Delayed { due: 7, id: CallId(9) },
        ];
        let keys = places.map(|place| place.key(&from));
        assert!(keys.is_sorted());
        for (key, place) in keys.iter().zip(places) {
            assert_eq!(Place::read(key), Some((from.clone(), place)));
            assert_eq!(Place::read(&key[..key.len() - 1]), None);
        }
    }

    #[test]
    fn the_name_of_a_dead_letter_says_where_it_is() {
        let message = Message {
            target: "Bank/b".parse().unwrap(),
            method: "take".into(),
            arguments: Payload::default(),
            id: CallId(77),
            request: RequestContext::default(),
        };
        let from = "Bank/a".parse().unwrap();
        let letter = Letter { from, message, kind: "app".into(), error: "no".into(), at_unix_ms: 1_000 };
        let shown = letter.clone().shown(Shard(3));
        assert_eq!(LetterId::read(&shown.id), Some(LetterId { shard: Shard(3), key: letter.key() }));
        assert_eq!(Letter::time(&letter.key()), 1_000);
        for wrong in ["", "3", "3-", "x-00", "memory-7", "3-00", "99999-00"] {
            assert_eq!(LetterId::read(wrong), None, "{wrong}");
        }
    }
}
