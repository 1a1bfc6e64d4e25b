//! What a map and a list have in common: items by key, as rows of the actor or, for volatile types, in memory.
//!
//! **Where an item is found**, newest first: what the running turn has changed (in the handle), what was read or changed
//! lately (in the handle), what is committed and not durable yet ([`overlay`](super::overlay)), the journal.
//!
//! A failed turn needs no undoing: its rows are dropped with its commit, and the handle is read again from the actor's
//! last good state, with the length that it had then and with nothing remembered.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{BufMut, Bytes};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::merge::{Head, merge};
use super::recent::Recent;
use super::{CollectionError, MAX_ITEM_BYTES, MAX_ITEM_KEY_BYTES};
use crate::actor::Durability;
use crate::codec;
use crate::cx::Cx;
use crate::rows::{RowChange, RowRange, Space, actor_prefix};

/// How many rows are read at once when items are gone through.
const PAGE: usize = 128;

/// A key and a value, both encoded.
pub(super) type Item = (Bytes, Bytes);

/// The handle.
#[derive(Debug, Default)]
pub(super) struct Items {
    place: Place,
    /// How many items there are.
    pub(super) len: u64,
    /// For lists: the key of the first item.
    pub(super) first: u64,
    recent: Mutex<Option<Box<Recent>>>,
}

/// Where the items are.
#[derive(Debug, Default)]
enum Place {
    /// There have never been any.
    #[default]
    Nowhere,
    /// In the rows of the collection with this number.
    Rows(u64),
    /// Here. The state is encoded with them, as any state of a volatile type is.
    Memory(BTreeMap<Bytes, Bytes>),
}

impl Items {
    /// The newest value of an item.
    pub(super) async fn get(&self, cx: &Cx, key: &Bytes) -> Result<Option<Bytes>, CollectionError> {
        let number = match &self.place {
            Place::Nowhere => return Ok(None),
            Place::Memory(items) => return Ok(items.get(key).cloned()),
            Place::Rows(number) => *number,
        };
        let row_key = {
            let mut recent = self.recent.lock();
            let recent = enter(&mut recent, number, cx);
            if let Some(known) = recent.get(key) {
                return Ok(known);
            }
            row_key(&recent.prefix, key)
        };
        let shard = cx.shard();
        let value = match cx.engine().overlay().get(shard, &row_key) {
            Some(value) => value,
            None => {
                let found =
                    shard.journal().rows(shard.shard(), RowRange::one(Space::ITEM, row_key), 1).await?;
                found.into_iter().next().map(|(_, value)| value)
            }
        };
        enter(&mut self.recent.lock(), number, cx).read(key.clone(), value.clone());
        Ok(value)
    }

    /// Writes or removes an item. The length is the caller's.
    pub(super) fn change(
        &mut self,
        cx: &Cx,
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<(), CollectionError> {
        if matches!(self.place, Place::Nowhere) {
            self.place = new_place(cx)?;
        }
        let number = match &mut self.place {
            Place::Nowhere => unreachable!("it has just got a place"),
            Place::Memory(items) => {
                match value {
                    Some(value) => items.insert(key, value),
                    None => items.remove(&key),
                };
                return Ok(());
            }
            Place::Rows(number) => *number,
        };
        if !cx.commits() {
            return Err(CollectionError::ReadOnly);
        }
        let recent = enter(self.recent.get_mut(), number, cx);
        let row = RowChange { space: Space::ITEM, key: row_key(&recent.prefix, &key), value: value.clone() };
        recent.change(key, value)?;
        cx.change_row(row);
        Ok(())
    }

    /// Removes all items. Reads them.
    pub(super) async fn clear(&mut self, cx: &Cx) -> Result<(), CollectionError> {
        let mut from = Some(Bytes::new());
        while let Some(begin) = from {
            let page = self.page(cx, begin, None, PAGE).await?;
            from = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| behind(key));
            for (key, _) in page {
                self.change(cx, key, None)?;
                self.len = self.len.saturating_sub(1);
            }
        }
        (self.len, self.first) = (0, 0);
        Ok(())
    }

    /// The first items of a range of keys, at most `limit`.
    pub(super) async fn page(
        &self,
        cx: &Cx,
        mut from: Bytes,
        until: Option<Bytes>,
        limit: usize,
    ) -> Result<Vec<Item>, CollectionError> {
        if until.as_ref().is_some_and(|until| *until <= from) {
            return Ok(Vec::new());
        }
        let number = match &self.place {
            Place::Nowhere => return Ok(Vec::new()),
            Place::Memory(items) => {
                let until = until.map_or(Bound::Unbounded, Bound::Excluded);
                let found = items.range((Bound::Included(from), until)).take(limit);
                return Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect());
            }
            Place::Rows(number) => *number,
        };
        let mut page = Vec::new();
        loop {
            let wanted = limit - page.len();
            if wanted == 0 {
                return Ok(page);
            }
            let (items, horizon) = self.step(cx, number, &from, until.as_ref(), wanted).await?;
            page.extend(items.into_iter().take(wanted));
            match horizon {
                Some(horizon) => from = behind(&horizon),
                None => return Ok(page),
            }
        }
    }

    /// Some of the items from a key on, and up to which key these are all; `None`: to the end of the range.
    async fn step(
        &self,
        cx: &Cx,
        number: u64,
        from: &Bytes,
        until: Option<&Bytes>,
        limit: usize,
    ) -> Result<(Vec<Item>, Option<Bytes>), CollectionError> {
        let (prefix, changed) = {
            let mut recent = self.recent.lock();
            let recent = enter(&mut recent, number, cx);
            let changed = recent.changed_from(from).filter(|(key, _)| until.is_none_or(|until| *key < until));
            let changed = changed.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect();
            (recent.prefix.clone(), Head::of(changed, limit))
        };
        let mut range = RowRange::prefix(Space::ITEM, prefix.clone());
        range.from = row_key(&prefix, from);
        if let Some(until) = until {
            range.until = Some(row_key(&prefix, until));
        }
        let shard = cx.shard();
        // Before the journal is asked: the overlay's rule.
        let pending = Head::of(cx.engine().overlay().first(shard, &range, limit), limit);
        let stored = Head::of(shard.journal().rows(shard.shard(), range, limit).await?, limit);
        let (committed, horizon) = merge(pending.without(prefix.len()), stored.without(prefix.len()));
        let committed = Head { entries: committed, horizon };
        Ok(merge(changed, committed))
    }

    /// All items of a range of keys, a page at a time.
    pub(super) fn stream<'a>(
        &'a self,
        cx: &'a Cx,
        from: Bytes,
        until: Option<Bytes>,
    ) -> BoxStream<'a, Result<Item, CollectionError>> {
        let pages = stream::try_unfold(Some(from), move |from| {
            let until = until.clone();
            async move {
                let Some(from) = from else { return Ok(None) };
                let page = self.page(cx, from, until, PAGE).await?;
                let next = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| behind(key));
                Ok::<_, CollectionError>(Some((stream::iter(page.into_iter().map(Ok)), next)))
            }
        });
        pages.try_flatten().boxed()
    }
}

/// The first place of a collection that is written for the first time.
fn new_place(cx: &Cx) -> Result<Place, CollectionError> {
    if cx.commits() {
        // An id of this turn that no other call of it has, and the same again if the turn is repeated.
        return Ok(Place::Rows(cx.next_call_id().0 as u64));
    }
    match cx.engine().durability(cx.actor_id()) {
        Some(Durability::Volatile) => Ok(Place::Memory(BTreeMap::new())),
        _ => Err(CollectionError::ReadOnly),
    }
}

fn enter<'a>(recent: &'a mut Option<Box<Recent>>, number: u64, cx: &Cx) -> &'a mut Recent {
    let recent = recent.get_or_insert_with(|| {
        let mut prefix = actor_prefix(cx.actor_id());
        prefix.put_u64(number);
        let mut recent = Recent::new(prefix.freeze());
        recent.enter(cx.transaction());
        // A state that went back to a savepoint in the middle of its turn has forgotten what the turn changed before.
        recent.recall(cx.changed_rows(Space::ITEM));
        Box::new(recent)
    });
    recent.enter(cx.transaction());
    recent
}

fn row_key(prefix: &[u8], key: &[u8]) -> Bytes {
    [prefix, key].concat().into()
}

/// The least key above this one.
pub(super) fn behind(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// Checks an encoded key.
pub(super) fn checked_key(key: Vec<u8>) -> Result<Bytes, CollectionError> {
    match key.len() {
        0..=MAX_ITEM_KEY_BYTES => Ok(key.into()),
        bytes => Err(CollectionError::LongKey(bytes)),
    }
}

thread_local! {
    /// Whether the value that is being encoded on this thread is an item.
    static ENCODES_ITEM: Cell<bool> = const { Cell::new(false) };
}

/// The form of an item: MessagePack, as the state's.
pub(super) fn encode<V: Serialize>(value: &V) -> Result<Bytes, CollectionError> {
    let outer = ENCODES_ITEM.replace(true);
    let encoded = rmp_serde::to_vec_named(value);
    ENCODES_ITEM.set(outer);
    let checked = encoded.and_then(|form| codec::check_written(&form).map(|()| form));
    let encoded = checked.map_err(|error| CollectionError::Encode(error.to_string()))?;
    match encoded.len() {
        0..=MAX_ITEM_BYTES => Ok(encoded.into()),
        bytes => Err(CollectionError::LargeItem(bytes)),
    }
}

pub(super) fn decode<V: DeserializeOwned>(value: &[u8]) -> Result<V, CollectionError> {
    codec::read_stored(value).map_err(|error| CollectionError::Decode(error.to_string()))
}

/// How a handle is stored with the state.
#[derive(Serialize, Deserialize)]
struct Form {
    /// The collection's number; 0 if it was never written.
    #[serde(default)]
    collection: u64,
    #[serde(default)]
    len: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    first: u64,
    /// Of a volatile type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Item>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Serialize for Items {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if ENCODES_ITEM.get() {
            return Err(serde::ser::Error::custom(
                "a Map or a List cannot be an item of another one; use a key with two parts, such as Map<(String, u64), T>",
            ));
        }
        let (collection, items) = match &self.place {
            Place::Nowhere => (0, None),
            Place::Rows(number) => (*number, None),
            Place::Memory(items) => (0, Some(items.iter().map(|(k, v)| (k.clone(), v.clone())).collect())),
        };
        Form { collection, len: self.len, first: self.first, items }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Form { collection, len, first, items } = Form::deserialize(deserializer)?;
        let place = match items {
            Some(items) => Place::Memory(items.into_iter().collect()),
            None if collection == 0 => Place::Nowhere,
            None => Place::Rows(collection),
        };
        Ok(Self { place, len, first, recent: Mutex::default() })
    }
}
