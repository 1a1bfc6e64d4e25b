//! A stream that is open: its buffer, and those who wait at either side of it.
//!
//! No turn is needed to pull, and the actor's turn lock is not taken: so a consumer can go on while a turn of the actor
//! waits for room, and a long poll keeps nobody from the actor.

use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::buffer::{Buffer, End, Room, SharedItem};
use crate::error::CallError;
use crate::identity::CallId;

/// The feed that a stream belongs to: its name, and the types of its items and its error.
pub(crate) type FeedKey = (&'static str, TypeId);

/// What the code of a stream gives: items until it is at its end, or an application error.
pub(crate) type Source = BoxStream<'static, Result<SharedItem, SharedItem>>;

pub(crate) struct OpenStream {
    /// By what it is pulled. Drawn anew each time: were it that of the call that opened it, a repetition of that call could
    /// put another stream in the place of one that is gone, and its consumer would miss items and not know.
    pub(crate) id: CallId,
    pub(crate) opened_by: CallId,
    /// `None`: a stream of its own.
    pub(crate) feed: Option<FeedKey>,
    state: Mutex<State>,
    /// Something to pull has come, or the end.
    something: Notify,
    /// The consumer has taken something, or the stream has ended.
    room: Notify,
}

struct State {
    buffer: Buffer,
    last_pull: Instant,
    /// How many pulls wait.
    pulling: usize,
}

impl OpenStream {
    pub(crate) fn new(id: CallId, opened_by: CallId, feed: Option<FeedKey>, buffer: Buffer) -> Arc<Self> {
        let state = State { buffer, last_pull: Instant::now(), pulling: 0 };
        let (state, something, room) = (Mutex::new(state), Notify::new(), Notify::new());
        Arc::new(Self { id, opened_by, feed, state, something, room })
    }

    pub(crate) fn push(&self, item: SharedItem) {
        self.state.lock().buffer.push(item);
        self.something.notify_waiters();
    }

    pub(crate) fn finish(&self, end: End) {
        self.state.lock().buffer.finish(end);
        self.something.notify_waiters();
        self.room.notify_waiters();
    }

    /// Ends the stream behind so many items from a position on: the one after them cannot be sent.
    pub(crate) fn spoil(&self, from: u64, kept: usize, end: End) {
        let mut state = self.state.lock();
        state.buffer.acknowledge(from);
        state.buffer.cut(kept, end);
        drop(state);
        self.room.notify_waiters();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().buffer.is_ended()
    }

    /// Whether nobody has pulled for so long.
    pub(crate) fn is_deserted(&self, now: Instant, after: Duration) -> bool {
        let state = self.state.lock();
        state.pulling == 0 && now.saturating_duration_since(state.last_pull) >= after
    }

    /// Waits for room for one more item of this turn; false if the stream has ended meanwhile.
    pub(crate) async fn promise(&self, turn: CallId) -> Result<bool, CallError> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the look, so that no notice can fall in between.
            room.as_mut().enable();
            match self.state.lock().buffer.promise(turn) {
                Room::Promised => return Ok(true),
                Room::Ended => return Ok(false),
                Room::NotYet => {}
                Room::OwnTurn => {
                    return Err(CallError::Invalid(
                        "one turn pushes more items than the feed's buffer holds, and would wait for itself; push in \
                         several turns, or raise `.buffer(…)`"
                            .into(),
                    ));
                }
            }
            room.await;
        }
    }

    pub(crate) fn release(&self, turn: CallId) {
        self.state.lock().buffer.release(turn);
        self.room.notify_waiters();
    }

    /// The items from this position on, as soon as there is one, or the end; nothing if there is none until then.
    pub(crate) async fn pull(
        &self,
        from: u64,
        most: usize,
        until: Instant,
    ) -> (Vec<(u64, SharedItem)>, Option<End>) {
        let _pulling = Pulling::of(self);
        self.state.lock().buffer.acknowledge(from);
        self.room.notify_waiters();
        loop {
            let something = self.something.notified();
            tokio::pin!(something);
            something.as_mut().enable();
            if let Some(found) = self.state.lock().buffer.look(most) {
                return found;
            }
            if timeout_at(until, something).await.is_err() {
                return (Vec::new(), None);
            }
        }
    }

    /// Fills the buffer from the stream's own code: an item is made only when there is room for it.
    pub(crate) async fn pump(self: Arc<Self>, mut source: Source) {
        // What is pumped belongs to no turn; so all of it is one.
        let turn = self.id;
        while let Ok(true) = self.promise(turn).await {
            let next = std::panic::AssertUnwindSafe(source.next()).catch_unwind();
            let next = match select(std::pin::pin!(next), std::pin::pin!(self.ended())).await {
                Either::Left((next, _)) => next,
                Either::Right(_) => break,
            };
            self.release(turn);
            match next {
                Ok(Some(Ok(item))) => self.push(item),
                Ok(Some(Err(error))) => return self.finish(End::App(error)),
                Ok(None) => return self.finish(End::Done),
                Err(panic) => return self.finish(End::Panicked(message(&*panic).into())),
            }
        }
    }

    async fn ended(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.is_ended() {
                return;
            }
            room.await;
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// While there is one, somebody is there to take the items.
struct Pulling<'a>(&'a OpenStream);

impl<'a> Pulling<'a> {
    fn of(stream: &'a OpenStream) -> Self {
        stream.state.lock().pulling += 1;
        Self(stream)
    }
}

impl Drop for Pulling<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.pulling -= 1;
        state.last_pull = Instant::now();
    }
}
