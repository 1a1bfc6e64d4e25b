//! What a method returns that answers with a stream.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::DEFAULT_BUFFER_ITEMS;
use super::feed::WhenFull;
use super::wire::{Handle, StreamId};
use crate::cx::Cx;
use crate::engine::streams::{Begin, Buffer, FeedKey, OpenStream, SharedItem, Source};
use crate::error::{AppError, CallError};
use crate::identity::CallId;

/// The whole reply of a method that answers with a stream of `T`, which may end with an error `E`. The caller gets a
/// [`ReplyStream`](super::ReplyStream).
///
/// The stream begins when the turn has ended well; its items leave when what the turn has seen is durable.
#[must_use = "a stream is opened for the caller: return it"]
pub struct Items<T, E = AppError> {
    id: CallId,
    types: PhantomData<fn() -> (T, E)>,
}

impl<T, E> Items<T, E> {
    /// Registers a stream, which is gone again if the turn fails.
    pub(super) fn open(
        cx: &Cx,
        feed: Option<FeedKey>,
        buffer: Buffer,
        source: Option<Source>,
    ) -> Result<Self, CallError> {
        let actor = cx.actor_id();
        if cx.activation().table().options().stateless {
            return Err(CallError::Invalid(format!(
                "{} is stateless: nobody could say which of its workers has the stream; give the type state, which may \
                 be `volatile`",
                actor.actor_type
            )));
        }
        let engine = cx.engine();
        let stream = OpenStream::new(CallId(engine.env().random()), cx.next_call_id(), feed, buffer);
        let first = engine.streams().open(actor, stream.clone())?;
        let id = first.unwrap_or(stream.id);
        if first.is_none() {
            engine.keep_alive(actor, engine.env().now() + super::CONSUMER_GONE_AFTER);
            let (engine, actor) = (engine.clone(), actor.clone());
            cx.send_at_end(Box::new(Begin { engine, actor, stream, source, begun: false }));
        }
        Ok(Self { id, types: PhantomData })
    }
}

impl Cx {
    /// Answers with the items of this stream. It runs in a task of its own when the turn has ended well, and is asked for
    /// an item only while fewer than 64 wait for the consumer. It is dropped when the consumer is gone, and when the actor
    /// leaves memory; a panic in it ends it with `Panicked`.
    ///
    /// # Errors
    /// `Overloaded` if the actor has too many open streams; `Invalid` if its type is stateless.
    pub fn items<T>(&self, stream: impl Stream<Item = T> + Send + 'static) -> Result<Items<T>, CallError>
    where
        T: Serialize + Send + Sync + 'static,
    {
        self.try_items(stream.map(Ok::<T, AppError>))
    }

    /// The same for a stream that may end with an error.
    ///
    /// # Errors
    /// As [`items`](Self::items).
    pub fn try_items<T, E>(
        &self,
        stream: impl Stream<Item = Result<T, E>> + Send + 'static,
    ) -> Result<Items<T, E>, CallError>
    where
        T: Serialize + Send + Sync + 'static,
        E: Serialize + Send + Sync + 'static,
    {
        let source = stream.map(|item| match item {
            Ok(item) => Ok(Arc::new(item) as SharedItem),
            Err(error) => Err(Arc::new(error) as SharedItem),
        });
        let buffer = Buffer::new(Vec::new(), DEFAULT_BUFFER_ITEMS, WhenFull::Wait);
        Items::open(self, None, buffer, Some(source.boxed()))
    }
}

impl<T, E> Serialize for Items<T, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Handle { stream: StreamId(self.id) }.serialize(serializer)
    }
}

impl<'de, T, E> Deserialize<'de> for Items<T, E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Handle { stream } = Handle::deserialize(deserializer)?;
        Ok(Self { id: stream.0, types: PhantomData })
    }
}

impl<T, E> fmt::Debug for Items<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.id)
    }
}

#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stream of items",
    note = "return `Items<T>` or `Result<Items<T>, E>`, as they come from `cx.items(…)` or a `Feed`"
)]
/// A reply that is a stream: [`Items`].
pub trait StreamReply {
    /// What it consists of.
    type Item: DeserializeOwned + Send + 'static;
    /// What it may end with.
    type Error: DeserializeOwned + Send + 'static;
    /// By what it is pulled.
    #[doc(hidden)]
    fn handle(&self) -> Handle;
}

impl<T, E> StreamReply for Items<T, E>
where
    T: DeserializeOwned + Send + 'static,
    E: DeserializeOwned + Send + 'static,
{
    type Item = T;
    type Error = E;

    fn handle(&self) -> Handle {
        Handle { stream: StreamId(self.id) }
    }
}
