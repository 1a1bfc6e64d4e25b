//! The consumer of a stream: pulls batches, one ahead of what its user works on.
//!
//! A pull whose answer does not come is repeated from the same position; nothing that was received is asked for again.
//! When the consumer is dropped it tells the owner, so that the stream ends there at once.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use serde::de::DeserializeOwned;

use super::wire::{Batch, CLOSE, Close, Handle, NEXT, Pull};
use crate::call::{Call, CallContext, CallResult, Chain, DEFAULT_DEADLINE};
use crate::codec::{ContentType, Payload};
use crate::error::{AppError, CallError};
use crate::identity::{ActorId, CallId};
use crate::request::RequestContext;
use crate::transport::SharedTransport;

/// How many pulls in a row may stay without an answer, 10 s each.
const TRIES: u32 = 3;

/// The items of a stream as they come. It ends after the last item, or with an error:
///
/// - `App`: the actor ended it so;
/// - `Overloaded`: this consumer was too slow for what is pushed (see [`WhenFull`](super::WhenFull));
/// - `Unavailable`: the actor has left memory or moved, or its node is gone. Streams are volatile: ask again, from the
///   position behind the last item that you have;
/// - `Timeout`: the owner does not answer.
///
/// Dropping it ends the stream at the actor.
pub struct ReplyStream<T, E = AppError> {
    items: RawItems,
    types: PhantomData<fn() -> (T, E)>,
}

impl<T: DeserializeOwned, E: DeserializeOwned> ReplyStream<T, E> {
    pub(super) fn new(items: RawItems) -> Self {
        Self { items, types: PhantomData }
    }

    /// The next item; `None` at the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<T, CallError<E>>> {
        StreamExt::next(self).await
    }

    /// How many items were dropped so far because this consumer was slow, under
    /// [`WhenFull::DropOldest`](super::WhenFull::DropOldest).
    pub fn dropped(&self) -> u64 {
        self.items.dropped
    }
}

impl<T: DeserializeOwned, E: DeserializeOwned> Stream for ReplyStream<T, E> {
    type Item = Result<T, CallError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.items.poll_next_unpin(task));
        Poll::Ready(item.map(|item| match item {
            Ok(payload) => payload.decode("an item of a stream").map_err(CallError::from),
            Err(error) => Err(error.typed()),
        }))
    }
}

impl<T, E> fmt::Debug for ReplyStream<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.items)
    }
}

/// The same with the items as they are encoded, for those who have no types.
pub struct RawItems {
    transport: SharedTransport,
    actor: ActorId,
    handle: Handle,
    content_type: ContentType,
    most: usize,
    received: VecDeque<Payload>,
    /// Everything before this position has been received.
    position: u64,
    dropped: u64,
    pull: Pulling,
    /// What comes behind the received items.
    end: Option<Option<CallError<Payload>>>,
    unanswered: u32,
}

/// The batch behind the received items.
enum Pulling {
    /// There is none yet, and none is asked for.
    No,
    Asked(BoxFuture<'static, CallResult>),
    There(CallResult),
}

impl RawItems {
    /// The items of the stream that an actor has answered with, at most `most` at a time.
    pub fn new(
        transport: SharedTransport,
        actor: ActorId,
        handle: Handle,
        content_type: ContentType,
        most: usize,
    ) -> Self {
        Self {
            transport,
            actor,
            handle,
            content_type,
            most,
            received: VecDeque::new(),
            position: 0,
            dropped: 0,
            pull: Pulling::No,
            end: None,
            unanswered: 0,
        }
    }

    fn ask(&mut self) {
        let most = u32::try_from(self.most).unwrap_or(u32::MAX);
        let pull = Pull { stream: self.handle.stream, from: self.position, most };
        self.pull = match Payload::encode(self.content_type, "what is asked of a stream", &pull) {
            Ok(arguments) => Pulling::Asked(self.transport.call(self.call(NEXT, arguments))),
            Err(error) => Pulling::There(Err(error.into())),
        };
    }

    fn call(&self, method: &'static str, arguments: Payload) -> Call {
        let env = self.transport.env();
        let context = CallContext {
            id: CallId(env.random()),
            deadline: env.now() + DEFAULT_DEADLINE,
            chain: Chain::default(),
            request: RequestContext::default(),
        };
        Call { target: self.actor.clone(), method: method.into(), arguments, context, delivery: None }
    }

    /// Takes what came. If it was a batch that others follow, the next one is asked for at once: it comes while the user
    /// works on this one.
    fn accept(&mut self, answer: CallResult, task: &mut Context<'_>) {
        let batch = match answer.and_then(|payload| Ok(Batch::decode(&payload)?)) {
            Ok(batch) => batch,
            Err(CallError::Timeout { .. }) if self.unanswered + 1 < TRIES => {
                self.unanswered += 1;
                return;
            }
            Err(error) => {
                self.end = Some(Some(error));
                return;
            }
        };
        self.unanswered = 0;
        for (at, item) in batch.items {
            self.dropped += at - self.position.min(at);
            self.position = at + 1;
            self.received.push_back(item);
        }
        match batch.end {
            Some(end) => self.end = Some(end.error()),
            None if self.received.is_empty() => {}
            None => {
                self.ask();
                self.poll_pull(task);
            }
        }
    }

    /// Moves the pull on; what it brings waits until the received items are taken.
    fn poll_pull(&mut self, task: &mut Context<'_>) {
        if let Pulling::Asked(answer) = &mut self.pull
            && let Poll::Ready(answer) = answer.poll_unpin(task)
        {
            self.pull = Pulling::There(answer);
        }
    }
}

impl Stream for RawItems {
    type Item = Result<Payload, CallError<Payload>>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.received.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            if let Some(end) = &mut self.end {
                return Poll::Ready(end.take().map(Err));
            }
            if matches!(self.pull, Pulling::No) {
                self.ask();
            }
            self.poll_pull(task);
            match std::mem::replace(&mut self.pull, Pulling::No) {
                Pulling::There(answer) => self.accept(answer, task),
                still => {
                    self.pull = still;
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Drop for RawItems {
    fn drop(&mut self) {
        // Without a runtime nothing can be sent; then the owner notices by itself, a minute later.
        if self.end.is_some() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let close = Close { stream: self.handle.stream };
        if let Ok(arguments) = Payload::encode(self.content_type, "the end of a stream", &close) {
            let closing = self.transport.call(self.call(CLOSE, arguments));
            self.transport.env().spawn(Box::pin(async move {
                // If it does not arrive, the owner notices by itself.
                let _ = closing.await;
            }));
        }
    }
}

impl fmt::Debug for RawItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a stream of {}", self.actor)
    }
}
