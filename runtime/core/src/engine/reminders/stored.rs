//! A reminder as its shard keeps it: one row by actor and name with all there is to know, and one by due time without a
//! value, which only says when to look.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_128;

use crate::codec::{Payload, read_stored};
use crate::identity::{ActorId, CallId};
use crate::request::RequestContext;
use crate::rows::{RowChange, Space, actor_prefix, split_actor_prefix};
use crate::schedule::Schedule;

/// How many bytes a due time takes at the beginning of its row's key.
const DUE_BYTES: usize = size_of::<u64>();

/// The value of a row in [`Space::REMINDER`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) schedule: Schedule,
    /// The next due time, milliseconds since 1970.
    pub(crate) due: u64,
    /// The call whose turn set it: a reminder that is set anew has ticks of its own.
    pub(crate) set_by: CallId,
    pub(crate) method: SmolStr,
    pub(crate) arguments: Payload,
    /// What the turn carried that set it; its ticks carry the same.
    #[serde(default, skip_serializing_if = "RequestContext::is_empty")]
    pub(crate) request: RequestContext,
}

impl Stored {
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        read_stored(value).ok()
    }

    /// The change that sets it.
    pub(crate) fn put(&self, name_key: &Bytes) -> RowChange {
        let value = rmp_serde::to_vec_named(self).expect("a reminder is made of strings and numbers");
        RowChange::put(Space::REMINDER, name_key.clone(), value)
    }

    /// The change that moves it on to its next due time, or ends it.
    pub(crate) fn moved(mut self, name_key: &Bytes, next: Option<u64>) -> RowChange {
        match next {
            Some(next) => {
                self.due = next;
                self.put(name_key)
            }
            None => RowChange::remove(Space::REMINDER, name_key.clone()),
        }
    }

    /// The id of the tick for a due time: the same however often it is tried.
    pub(crate) fn tick_id(&self, name_key: &[u8], tick: u64) -> CallId {
        let mut seed = BytesMut::with_capacity(name_key.len() + 24);
        seed.put_slice(name_key);
        seed.put_u64(tick);
        seed.put_u128(self.set_by.0);
        CallId(xxh3_128(&seed))
    }
}

/// The key of a reminder's row by name.
pub(crate) fn name_key(actor: &ActorId, name: &str) -> Bytes {
    let mut key = actor_prefix(actor);
    key.put_slice(name.as_bytes());
    key.freeze()
}

/// Whose reminder it is, and its name.
pub(crate) fn split_name_key(name_key: &[u8]) -> Option<(ActorId, &str)> {
    let (actor, name) = split_actor_prefix(name_key)?;
    Some((actor, str::from_utf8(name).ok()?))
}

/// The key of its row by due time.
pub(crate) fn due_key(due: u64, name_key: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(DUE_BYTES + name_key.len());
    key.put_u64(due);
    key.put_slice(name_key);
    key.freeze()
}

/// The due time that a row's key begins with.
pub(crate) fn due_of(due_key: &[u8]) -> u64 {
    due_key.first_chunk().map_or(0, |due| u64::from_be_bytes(*due))
}

/// The reminder's key by name, within its key by due time.
pub(crate) fn name_in(due_key: &Bytes) -> Bytes {
    due_key.slice(DUE_BYTES.min(due_key.len())..)
}
