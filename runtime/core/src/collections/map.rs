//! A map whose items are rows of the store, in the order of their keys.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use bytes::Bytes;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::CollectionError;
use super::cursor::Cursor;
use super::items::{Item, Items, behind, checked_key, decode, encode};
use super::key::{KeyEncode, MapKey, decoded, encoded};
use crate::cx::Cx;

/// A map as a field of an actor's state: a turn reads the items that it asks for and commits those that it changes.
///
/// What a turn changes is seen in that turn at once and in the turns after it, is durable with the turn's commit, and gone
/// if the turn fails. In a volatile type the items are in memory, a part of the state as any other.
///
/// Methods take the context of the turn. They fail if the store cannot be read, if an item is too large or is stored in a
/// form that does not fit its type; with `?` the turn then fails. Dropping a future of theirs changes nothing.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Map<K, V> {
    items: Items,
    #[serde(skip)]
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Map<K, V> {
    /// How many items there are.
    pub fn len(&self) -> u64 {
        self.items.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.len == 0
    }
}

impl<K: MapKey, V: Serialize + DeserializeOwned + Send> Map<K, V> {
    /// The item with this key.
    pub async fn get<Q>(&self, cx: &Cx, key: &Q) -> Result<Option<V>, CollectionError>
    where
        K: Borrow<Q>,
        Q: KeyEncode + ?Sized,
    {
        let found = self.items.get(cx, &checked_key(encoded(key))?).await?;
        found.map(|value| decode(&value)).transpose()
    }

    /// Whether there is an item with this key.
    pub async fn contains<Q>(&self, cx: &Cx, key: &Q) -> Result<bool, CollectionError>
    where
        K: Borrow<Q>,
        Q: KeyEncode + ?Sized,
    {
        Ok(self.items.get(cx, &checked_key(encoded(key))?).await?.is_some())
    }

    /// Puts an item in and returns the one that had the key before.
    pub async fn insert(&mut self, cx: &Cx, key: K, value: V) -> Result<Option<V>, CollectionError> {
        let (key, value) = (checked_key(encoded(&key))?, encode(&value)?);
        let before = self.items.get(cx, &key).await?;
        let result = before.as_ref().map(|before| decode(before)).transpose()?;
        if before.as_ref() != Some(&value) {
            self.items.change(cx, key, Some(value))?;
        }
        self.items.len += u64::from(before.is_none());
        Ok(result)
    }

    /// Takes the item with this key out.
    pub async fn remove<Q>(&mut self, cx: &Cx, key: &Q) -> Result<Option<V>, CollectionError>
    where
        K: Borrow<Q>,
        Q: KeyEncode + ?Sized,
    {
        let key = checked_key(encoded(key))?;
        let Some(before) = self.items.get(cx, &key).await? else { return Ok(None) };
        let result = decode(&before)?;
        self.items.change(cx, key, None)?;
        self.items.len = self.items.len.saturating_sub(1);
        Ok(Some(result))
    }

    /// Removes all items. It reads them to do so: a very large map is emptied in several turns, page by page.
    pub async fn clear(&mut self, cx: &Cx) -> Result<(), CollectionError> {
        self.items.clear(cx).await
    }

    /// At most `limit` items in the order of their keys, behind the key `after`: what a caller gets page by page.
    pub async fn page<Q>(
        &self,
        cx: &Cx,
        after: Option<&Q>,
        limit: usize,
    ) -> Result<Vec<(K, V)>, CollectionError>
    where
        K: Borrow<Q>,
        Q: KeyEncode + ?Sized,
    {
        let from = after.map_or_else(Bytes::new, |after| behind(&encoded(after)));
        let page = self.items.page(cx, from, None, limit).await?;
        page.iter().map(read_item).collect()
    }

    /// The items with keys in a range, in their order.
    pub fn range<'a, Q>(&'a self, cx: &'a Cx, keys: impl RangeBounds<Q>) -> Cursor<'a, (K, V)>
    where
        K: Borrow<Q>,
        Q: KeyEncode + ?Sized,
    {
        let from = match keys.start_bound() {
            Bound::Unbounded => Bytes::new(),
            Bound::Included(key) => encoded(key).into(),
            Bound::Excluded(key) => behind(&encoded(key)),
        };
        let until = match keys.end_bound() {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(behind(&encoded(key))),
            Bound::Excluded(key) => Some(encoded(key).into()),
        };
        let items = self.items.stream(cx, from, until);
        Cursor::new(items.map(|item| read_item(&item?)).boxed())
    }

    /// All items in the order of their keys.
    pub fn iter<'a>(&'a self, cx: &'a Cx) -> Cursor<'a, (K, V)> {
        Cursor::new(self.items.stream(cx, Bytes::new(), None).map(|item| read_item(&item?)).boxed())
    }
}

fn read_item<K: MapKey, V: DeserializeOwned>((key, value): &Item) -> Result<(K, V), CollectionError> {
    let wrong_key = || CollectionError::Decode(format!("its key is no {}", std::any::type_name::<K>()));
    Ok((decoded(key).ok_or_else(wrong_key)?, decode(value)?))
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { items: Items::default(), types: PhantomData }
    }
}

/// The items are in the store: only their number shows.
impl<K, V> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map of {} items", self.items.len)
    }
}
