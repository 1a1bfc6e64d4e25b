//! What a shard keeps beside the states of its actors: small ordered rows, committed together with a turn.
//!
//! A reminder, a message that waits in an outbox, an item of a large map: each is a row, `(space, key) → value`. A turn's
//! rows are part of its commit, so they are there if and only if the turn happened. A row belongs to the shard: it moves
//! with it, and rows of one space can be read in the order of their keys, for one actor or for all of the shard.
//!
//! Who works on rows by itself (sends what is in the outboxes, lets reminders fall due) is a [`RowFollower`]: it reads
//! the rows when the shard is opened and is told of each change from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::identity::{ActorId, Seq};
use crate::shard::OwnedShard;

/// What rows are for. The numbers are stored, so they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Space(pub u8);

impl Space {
    /// The reminders of an actor, by its name and theirs.
    pub const REMINDER: Self = Self(1);
    /// The same reminders by the time when they are due.
    pub const DUE: Self = Self(2);
    /// Messages that a turn has sent and that have not been acknowledged.
    pub const OUTBOX: Self = Self(3);
    /// Messages that nobody took.
    pub const DEAD_LETTER: Self = Self(4);
    /// Items of maps and lists, by actor, collection and item.
    pub const ITEM: Self = Self(5);
    /// Actors by the value of an indexed field.
    pub const INDEX: Self = Self(6);
    /// Workflows whose functions are to be run, by actor.
    pub const WORKFLOW: Self = Self(7);
    /// How far an actor has applied the reliable messages of each sender, by receiver and sender.
    pub const INBOX: Self = Self(8);
}

/// A row that a commit writes or removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChange {
    /// What it is for.
    pub space: Space,
    /// Its key, unique in the space and the shard.
    pub key: Bytes,
    /// Its value; `None` removes it. Removing a row that is not there is no error.
    pub value: Option<Bytes>,
}

impl RowChange {
    /// Writes a row.
    pub fn put(space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { space, key: key.into(), value: Some(value.into()) }
    }

    /// Removes a row.
    pub fn remove(space: Space, key: impl Into<Bytes>) -> Self {
        Self { space, key: key.into(), value: None }
    }
}

/// Rows of one space with `from <= key < until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRange {
    /// The space.
    pub space: Space,
    /// The first key.
    pub from: Bytes,
    /// The end, which is not part of it; `None`: to the end of the space.
    pub until: Option<Bytes>,
}

impl RowRange {
    /// The whole space.
    pub fn all(space: Space) -> Self {
        Self { space, from: Bytes::new(), until: None }
    }

    /// The row with this key.
    pub fn one(space: Space, key: impl Into<Bytes>) -> Self {
        let from = key.into();
        let mut until = BytesMut::from(&from[..]);
        until.put_u8(0);
        Self { space, from, until: Some(until.freeze()) }
    }

    /// All rows whose keys begin so.
    pub fn prefix(space: Space, prefix: impl Into<Bytes>) -> Self {
        let from = prefix.into();
        let until = after_prefix(&from);
        Self { space, from, until }
    }

    /// The part of this range behind `key`, to go on where a page ended.
    pub fn after(mut self, key: &[u8]) -> Self {
        let mut from = BytesMut::from(key);
        from.put_u8(0);
        self.from = from.freeze();
        self
    }

    /// Whether a key of this space lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.from[..] && self.until.as_ref().is_none_or(|until| key < &until[..])
    }
}

/// The least key above all that begin with `prefix`; `None` if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|&byte| byte < u8::MAX)?;
    let mut until = BytesMut::from(&prefix[..=last]);
    until[last] += 1;
    Some(until.freeze())
}

/// What a history of changes leaves in a range, at most `limit` rows: for journals that keep nothing but records.
pub fn replay<'a>(
    changes: impl IntoIterator<Item = &'a RowChange>,
    range: &RowRange,
    limit: usize,
) -> Vec<(Bytes, Bytes)> {
    let mut rows = BTreeMap::new();
    for RowChange { space, key, value } in changes {
        if *space == range.space && range.contains(key) {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
    }
    rows.into_iter().take(limit).collect()
}

/// The beginning of the keys of one actor's rows: no actor's beginning is the beginning of another one's.
pub fn actor_prefix(actor: &ActorId) -> BytesMut {
    let (actor_type, key) = (actor.actor_type.as_str(), &*actor.key);
    let mut prefix = BytesMut::with_capacity(3 + actor_type.len() + key.len() + 24);
    prefix.put_u8(actor_type.len() as u8);
    prefix.put_slice(actor_type.as_bytes());
    prefix.put_u16(key.len() as u16);
    prefix.put_slice(key.as_bytes());
    prefix
}

/// Reads what [`actor_prefix`] wrote, and the rest of the key; `None` if it is none.
pub fn split_actor_prefix(row_key: &[u8]) -> Option<(ActorId, &[u8])> {
    let (&type_bytes, rest) = row_key.split_first()?;
    let (actor_type, rest) = rest.split_at_checked(usize::from(type_bytes))?;
    let (key_bytes, rest) = rest.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*key_bytes)))?;
    let actor_type = crate::ActorType::new(str::from_utf8(actor_type).ok()?).ok()?;
    Some((ActorId::new(actor_type, str::from_utf8(key).ok()?).ok()?, rest))
}

/// Works on the rows of the shards that this node serves. All three methods are called on threads that run turns: they
/// must be quick and must not block.
pub trait RowFollower: Send + Sync + 'static {
    /// The shard is served from now on. Its rows are to be read from its journal; what changes from now on is told to
    /// [`committed`](Self::committed), which may well say the same again.
    fn opened(&self, shard: &Arc<OwnedShard>);

    /// A turn's commit at `seq` changed this row. It counts when the shard's gate has reached `seq`: before that a
    /// crash may undo it. Commits of one actor are told in their order.
    fn committed(&self, shard: &Arc<OwnedShard>, seq: Seq, row: &RowChange);

    /// The shard is not served here any more: nothing of it may be done.
    fn closed(&self, shard: &Arc<OwnedShard>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_an_actor_are_its_own() {
        let ids: Vec<ActorId> =
            ["A/a", "A/ab", "A/a\0", "Aa/a", "A/a/b"].map(|id| id.parse().unwrap()).into();
        for one in &ids {
            let range = RowRange::prefix(Space::ITEM, actor_prefix(one));
            for other in &ids {
                let mut key = actor_prefix(other);
                key.put_slice(b"\xffrest");
                assert_eq!(range.contains(&key), one == other, "{one} {other}");
                assert_eq!(split_actor_prefix(&key), Some((other.clone(), &b"\xffrest"[..])));
            }
        }
    }

    #[test]
    fn a_prefix_of_highest_bytes_ends_with_its_space() {
        let range = RowRange::prefix(Space::ITEM, &b"\xff\xff"[..]);
        assert_eq!(range.until, None);
        assert!(range.contains(b"\xff\xff\x01") && !range.contains(b"\xff\xfe"));
        let range = RowRange::prefix(Space::ITEM, &b"a\xff"[..]);
        assert!(range.contains(b"a\xff\xff") && !range.contains(b"b"));
    }

    #[test]
    fn a_page_goes_on_behind_its_last_key() {
        let range = RowRange::prefix(Space::ITEM, &b"a"[..]).after(b"ab");
        assert!(
            !range.contains(b"ab")
                && range.contains(b"ab\0")
                && range.contains(b"ac")
                && !range.contains(b"b")
        );
        assert!(RowRange::one(Space::ITEM, &b"ab"[..]).contains(b"ab"));
        assert!(!RowRange::one(Space::ITEM, &b"ab"[..]).contains(b"ab\0"));
    }

    #[test]
    fn damaged_row_keys_are_refused() {
        for bad in
            [&b""[..], b"\x05ab", b"\x01A\x00", b"\x01A\x00\x05ab", b"\x01A\x00\x00", b"\x011\x00\x01a"]
        {
            assert_eq!(split_actor_prefix(bad), None);
        }
    }
}
