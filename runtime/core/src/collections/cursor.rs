//! Going through the items of a collection.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, TryStreamExt};

use super::CollectionError;

/// Items in their order, read from the store a page at a time. It is a stream, too.
///
/// ```text
/// let mut items = self.inventory.iter(cx);
/// while let Some((name, item)) = items.next().await? { … }
/// ```
pub struct Cursor<'a, T>(BoxStream<'a, Result<T, CollectionError>>);

impl<'a, T> Cursor<'a, T> {
    pub(super) fn new(stream: BoxStream<'a, Result<T, CollectionError>>) -> Self {
        Self(stream)
    }

    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<T>, CollectionError> {
        self.0.try_next().await
    }
}

impl<T> Stream for Cursor<'_, T> {
    type Item = Result<T, CollectionError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(task)
    }
}

impl<T> fmt::Debug for Cursor<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cursor")
    }
}
