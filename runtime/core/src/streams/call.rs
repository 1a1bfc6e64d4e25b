//! The call that opens a stream.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::items::StreamReply;
use super::reply::{RawItems, ReplyStream};
use super::{DEFAULT_BATCH_ITEMS, MAX_BATCH_ITEMS};
use crate::actor::Method;
use crate::codec::ContentType;
use crate::error::CallError;
use crate::identity::CallId;
use crate::reference::Call;

/// A call of a method that answers with a stream. Awaiting it opens the stream; the items then come from the
/// [`ReplyStream`].
#[must_use = "a call does nothing until it is awaited"]
pub struct StreamCall<M: Method> {
    call: Call<M>,
    batch: usize,
}

impl<M: Method> StreamCall<M> {
    /// Made by the methods of references.
    #[doc(hidden)]
    pub fn new(call: Call<M>) -> Self {
        Self { call, batch: DEFAULT_BATCH_ITEMS }
    }

    /// Waits at most this long for the stream to be opened. The stream itself has no deadline.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { call: self.call.timeout(timeout), ..self }
    }

    /// Gives the call this id: whoever opens the stream again with it, while it is open, gets the same stream.
    pub fn call_id(self, id: CallId) -> Self {
        Self { call: self.call.call_id(id), ..self }
    }

    /// Adds to the request context of the call that opens the stream.
    pub fn with_request(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { call: self.call.with_request(name, value), ..self }
    }

    /// Fetches so many items at a time, at least one and at most 1,024; 64 unless said otherwise. At most twice as many
    /// are in this process and not yet taken.
    pub fn batch(self, items: usize) -> Self {
        Self { batch: items.clamp(1, MAX_BATCH_ITEMS), ..self }
    }
}

impl<M: Method<Reply: StreamReply>> IntoFuture for StreamCall<M> {
    type Output = Result<
        ReplyStream<<M::Reply as StreamReply>::Item, <M::Reply as StreamReply>::Error>,
        CallError<M::Error>,
    >;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let consumer = self.call.consumer();
        Box::pin(async move {
            let reply = self.call.await?;
            let Some((transport, actor)) = consumer else {
                return Err(CallError::Unavailable("the node is stopping; ask again".into()));
            };
            let items = RawItems::new(transport, actor, reply.handle(), ContentType::Msgpack, self.batch);
            Ok(ReplyStream::new(items))
        })
    }
}
