//! A list whose items are rows of the store, by their place.
//!
//! The key of an item is its place counted from where the list once began, so that an item can be taken from either end
//! without moving the others.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeBounds};

use bytes::Bytes;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::CollectionError;
use super::cursor::Cursor;
use super::items::{Items, decode, encode};
use super::key::encoded;
use crate::cx::Cx;

/// A list as a field of an actor's state: a turn reads the items that it asks for and commits those that it changes.
///
/// The promises are those of [`Map`](super::Map).
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct List<T> {
    items: Items,
    #[serde(skip)]
    types: PhantomData<fn() -> T>,
}

impl<T> List<T> {
    /// How many items there are.
    pub fn len(&self) -> u64 {
        self.items.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.len == 0
    }

    fn key(&self, index: u64) -> Bytes {
        encoded(&(self.items.first + index)).into()
    }
}

impl<T: Serialize + DeserializeOwned + Send> List<T> {
    /// The item at this place, counted from 0.
    pub async fn get(&self, cx: &Cx, index: u64) -> Result<Option<T>, CollectionError> {
        if index >= self.items.len {
            return Ok(None);
        }
        let found = self.items.get(cx, &self.key(index)).await?;
        found.map(|value| decode(&value)).transpose()
    }

    /// Appends an item. Reads nothing.
    pub fn push(&mut self, cx: &Cx, value: T) -> Result<(), CollectionError> {
        self.items.change(cx, self.key(self.items.len), Some(encode(&value)?))?;
        self.items.len += 1;
        Ok(())
    }

    /// Puts another item at this place. Reads nothing.
    pub fn set(&mut self, cx: &Cx, index: u64, value: T) -> Result<(), CollectionError> {
        if index >= self.items.len {
            return Err(CollectionError::NoSuchItem { index, len: self.items.len });
        }
        self.items.change(cx, self.key(index), Some(encode(&value)?))
    }

    /// Takes the last item.
    pub async fn pop(&mut self, cx: &Cx) -> Result<Option<T>, CollectionError> {
        let Some(last) = self.items.len.checked_sub(1) else { return Ok(None) };
        let item = self.get(cx, last).await?;
        self.items.change(cx, self.key(last), None)?;
        self.items.len = last;
        Ok(item)
    }

    /// Takes the first item; the others move up by one place.
    pub async fn pop_front(&mut self, cx: &Cx) -> Result<Option<T>, CollectionError> {
        let Some(rest) = self.items.len.checked_sub(1) else { return Ok(None) };
        let item = self.get(cx, 0).await?;
        self.items.change(cx, self.key(0), None)?;
        self.items.first += 1;
        self.items.len = rest;
        Ok(item)
    }

    /// Removes all items. It reads them to do so: a very large list is emptied in several turns, item by item.
    pub async fn clear(&mut self, cx: &Cx) -> Result<(), CollectionError> {
        self.items.clear(cx).await
    }

    /// At most `limit` items from a place on: what a caller gets page by page.
    pub async fn page(&self, cx: &Cx, from: u64, limit: usize) -> Result<Vec<T>, CollectionError> {
        let Range { start, end } = self.clamp(from..);
        let page = self.items.page(cx, self.key(start), Some(self.key(end)), limit).await?;
        page.iter().map(|(_, value)| decode(value)).collect()
    }

    /// The items at these places. Places behind the end are passed over.
    pub fn range<'a>(&'a self, cx: &'a Cx, places: impl RangeBounds<u64>) -> Cursor<'a, T> {
        let Range { start, end } = self.clamp(places);
        let items = self.items.stream(cx, self.key(start), Some(self.key(end)));
        Cursor::new(items.map(|item| decode(&item?.1)).boxed())
    }

    /// All items in their order.
    pub fn iter<'a>(&'a self, cx: &'a Cx) -> Cursor<'a, T> {
        self.range(cx, ..)
    }

    fn clamp(&self, places: impl RangeBounds<u64>) -> Range<u64> {
        let start = match places.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
        };
        let end = match places.end_bound() {
            Bound::Unbounded => u64::MAX,
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
        };
        start.min(self.items.len)..end.min(self.items.len)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Items::default(), types: PhantomData }
    }
}

/// The items are in the store: only their number shows.
impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {} items", self.items.len)
    }
}
