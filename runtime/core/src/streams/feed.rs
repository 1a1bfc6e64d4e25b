//! Streams that later turns push into: the subscribers of a room, of a price, of a build's output.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::DEFAULT_BUFFER_ITEMS;
use super::items::Items;
use crate::cx::Cx;
use crate::engine::streams::{Buffer, End, FeedKey, Push, SharedItem, What};
use crate::error::{AppError, CallError};

/// What a push does that finds a stream's buffer full, because its consumer is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// The stream ends: its consumer gets what waits, then `Overloaded`. The others and the actor go on.
    #[default]
    End,
    /// The item that has waited for longest is dropped. The consumer knows how many were:
    /// [`ReplyStream::dropped`](super::ReplyStream::dropped).
    DropOldest,
    /// The turn that pushes waits until the consumer has taken something, at most until its own deadline. One slow
    /// consumer then holds up the actor.
    Wait,
}

/// The streams of an actor that get the same items. A constant, by which methods open streams and push into them:
///
/// ```
/// # extern crate greenroom_core as greenroom;
/// # use greenroom::{Cx, Feed, Items, Result};
/// # use greenroom_macros::{Actor, actor_methods};
/// # use serde::{Deserialize, Serialize};
/// const LINES: Feed<String> = Feed::new("lines");
///
/// #[derive(Actor, Default, Serialize, Deserialize)]
/// struct Room {
///     lines: Vec<String>,
/// }
///
/// #[actor_methods]
/// impl Room {
///     async fn say(&mut self, cx: &Cx, line: String) -> Result<()> {
///         LINES.push(cx, line.clone()).await?;
///         self.lines.push(line);
///         Ok(())
///     }
///
///     /// The lines from this number on, those of the past and those to come.
///     async fn lines(&self, cx: &Cx, from: usize) -> Result<Items<String>> {
///         Ok(LINES.open_with(cx, self.lines.iter().skip(from).cloned())?)
///     }
/// }
/// # fn main() {}
/// ```
///
/// What a turn pushes, the consumers get when the turn's commit is durable, and not at all if the turn fails. A stream
/// gets what is pushed after it was opened: no item is missing between what [`open_with`](Self::open_with) was given and
/// what comes, none is there twice.
pub struct Feed<T, E = AppError> {
    name: &'static str,
    buffer: usize,
    when_full: WhenFull,
    types: PhantomData<fn() -> (T, E)>,
}

impl<T, E> Feed<T, E> {
    /// A feed. Feeds of one actor type differ by their names or their types.
    pub const fn new(name: &'static str) -> Self {
        Self { name, buffer: DEFAULT_BUFFER_ITEMS, when_full: WhenFull::End, types: PhantomData }
    }

    /// How many items may wait for a consumer, at least one; 64 unless said otherwise.
    pub const fn buffer(self, items: usize) -> Self {
        let buffer = if items == 0 { 1 } else { items };
        Self { buffer, ..self }
    }

    /// What a push does that finds a consumer's buffer full.
    pub const fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }
}

impl<T, E> Feed<T, E>
where
    T: Serialize + Send + Sync + 'static,
    E: Serialize + Send + Sync + 'static,
{
    /// Opens a stream of what is pushed from now on.
    ///
    /// # Errors
    /// `Overloaded` if the actor has too many open streams; `Invalid` if its type is stateless.
    pub fn open(&self, cx: &Cx) -> Result<Items<T, E>, CallError> {
        self.open_with(cx, [])
    }

    /// Opens a stream of these items and what is pushed from now on. These do not count towards the buffer.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(&self, cx: &Cx, first: impl IntoIterator<Item = T>) -> Result<Items<T, E>, CallError> {
        let first = first.into_iter().map(|item| Arc::new(item) as SharedItem).collect();
        Items::open(cx, Some(Self::key(self.name)), Buffer::new(first, self.buffer, self.when_full), None)
    }

    /// Gives this item to every open stream when the turn has ended well. Waits for slow consumers only if the feed says
    /// so, at most until the turn's deadline.
    ///
    /// # Errors
    /// `Invalid` if this turn alone pushes more than a buffer holds that it would have to wait for.
    pub async fn push(&self, cx: &Cx, item: T) -> Result<(), CallError> {
        let mut push = self.all(cx, What::Item(Arc::new(item)));
        if self.when_full == WhenFull::Wait {
            for stream in std::mem::take(&mut push.streams) {
                if stream.promise(push.turn).await? {
                    push.promised.push(stream.clone());
                    push.streams.push(stream);
                }
            }
        }
        Self::at_end(cx, push);
        Ok(())
    }

    /// Ends every open stream when the turn has ended well: the consumers get what was pushed before, and then the end.
    pub fn finish(&self, cx: &Cx) {
        Self::at_end(cx, self.all(cx, What::End(End::Done)));
    }

    /// The same with an error as the end.
    pub fn fail(&self, cx: &Cx, error: E) {
        Self::at_end(cx, self.all(cx, What::End(End::App(Arc::new(error)))));
    }

    /// How many streams are open. A consumer that is gone without a word counts until it is noticed, for a minute.
    pub fn consumers(&self, cx: &Cx) -> usize {
        cx.engine().streams().of_feed(cx.actor_id(), Self::key(self.name)).len()
    }

    fn all(&self, cx: &Cx, what: What) -> Push {
        let streams = cx.engine().streams().of_feed(cx.actor_id(), Self::key(self.name));
        Push { turn: cx.call_id(), streams, promised: Vec::new(), what }
    }

    fn at_end(cx: &Cx, push: Push) {
        if !push.streams.is_empty() {
            cx.send_at_end(Box::new(push));
        }
    }

    fn key(name: &'static str) -> FeedKey {
        (name, TypeId::of::<(T, E)>())
    }
}

impl<T, E> fmt::Debug for Feed<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "feed {:?}", self.name)
    }
}
