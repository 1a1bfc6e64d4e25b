//! The streams that actors of this node have open, and the answers to those who pull their items.
//!
//! A stream belongs to an activation and is volatile as it is: when the actor leaves memory, its shard moves or the node
//! stops, the stream is gone, and its consumer is told so. What a turn pushes goes through the shard's post, behind the
//! turn's output gate: it is pulled when the turn's commit is durable, and never if the turn failed (I3).
//!
//! - `buffer`: the items that wait, with their positions: pure.
//! - `open`: one stream, and who waits at it.

mod buffer;
mod open;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub(crate) use buffer::{Buffer, End, SharedItem};
pub(crate) use open::{FeedKey, OpenStream, Source};

use super::{Core, Outgoing};
use crate::call::{Call, CallResult};
use crate::codec::{ContentType, Payload};
use crate::error::CallError;
use crate::identity::{ActorId, CallId};
use crate::streams::wire::{Batch, CLOSE, Close, NEXT, Pull};
use crate::streams::{CONSUMER_GONE_AFTER, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_ITEM_BYTES, MAX_STREAMS};

/// A pull for which there is nothing is answered after this long, so that a consumer that is gone shows.
const LINGER: Duration = Duration::from_secs(5);
/// How long before its deadline a pull is answered.
const MARGIN: Duration = Duration::from_millis(500);

/// Every open stream of a node. Actors without any cost nothing.
#[derive(Default)]
pub(crate) struct Streams {
    /// In a fixed order, so that a replayed simulation ends them in the same one.
    of: Mutex<BTreeMap<ActorId, Vec<Arc<OpenStream>>>>,
    count: AtomicUsize,
}

impl Streams {
    /// Adds a stream. If there is one that was opened by the same call it stays, and is returned: the call was repeated, and
    /// whoever asked may be pulling from it already.
    pub(crate) fn open(&self, actor: &ActorId, stream: Arc<OpenStream>) -> Result<Option<CallId>, CallError> {
        let mut of = self.of.lock();
        let streams = of.entry(actor.clone()).or_default();
        if let Some(first) = streams.iter().find(|other| other.opened_by == stream.opened_by) {
            return Ok(Some(first.id));
        }
        if streams.iter().filter(|stream| !stream.is_ended()).count() >= MAX_STREAMS {
            return Err(CallError::Overloaded(format!(
                "{actor} has {MAX_STREAMS} open streams; call again later, or spread the consumers over several actors"
            )));
        }
        streams.push(stream);
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }

    /// The open streams of a feed.
    pub(crate) fn of_feed(&self, actor: &ActorId, feed: FeedKey) -> Vec<Arc<OpenStream>> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let of = self.of.lock();
        let open = |stream: &&Arc<OpenStream>| stream.feed == Some(feed) && !stream.is_ended();
        of.get(actor).map(|streams| streams.iter().filter(open).cloned().collect()).unwrap_or_default()
    }

    /// Ends a stream that nobody wants any more.
    pub(crate) fn close(&self, actor: &ActorId, id: CallId) {
        self.end(Some(actor), |stream| stream.id == id, || "its consumer closed it".into());
    }

    /// The actor has left memory.
    pub(super) fn left(&self, actor: &ActorId) {
        self.end(Some(actor), |_| true, || format!("{actor} has left memory or moved"));
    }

    /// Ends all of them.
    pub(super) fn close_all(&self, reason: &str) {
        self.end(None, |_| true, || reason.into());
    }

    /// Ends and forgets those whose consumer has not asked for long, and with them those that are at their end.
    pub(super) fn tidy_up(&self, now: Instant) {
        let deserted = |stream: &OpenStream| stream.is_deserted(now, CONSUMER_GONE_AFTER);
        self.end(None, deserted, || format!("nobody has asked for {CONSUMER_GONE_AFTER:?}"));
    }

    /// Ends such streams of this actor, or of all.
    fn end(&self, actor: Option<&ActorId>, such: impl Fn(&OpenStream) -> bool, reason: impl Fn() -> String) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut ending = Vec::new();
        self.of.lock().retain(|of, streams| {
            if actor.is_none_or(|actor| actor == of) {
                ending.extend(streams.extract_if(.., |stream| such(stream)));
            }
            !streams.is_empty()
        });
        self.count.fetch_sub(ending.len(), Ordering::Relaxed);
        ending.iter().for_each(|stream| stream.finish(End::Gone(reason())));
    }

    fn find(&self, actor: &ActorId, id: CallId) -> Option<Arc<OpenStream>> {
        self.of.lock().get(actor)?.iter().find(|stream| stream.id == id).cloned()
    }
}

/// Begins the stream when the turn that opened it has ended well; ends it if the turn does not.
pub(crate) struct Begin {
    pub(crate) engine: Arc<Core>,
    pub(crate) actor: ActorId,
    pub(crate) stream: Arc<OpenStream>,
    pub(crate) source: Option<Source>,
    pub(crate) begun: bool,
}

impl Outgoing for Begin {
    fn send(mut self: Box<Self>) {
        self.begun = true;
        if let Some(source) = self.source.take() {
            self.engine.env.spawn(Box::pin(self.stream.clone().pump(source)));
        }
    }

    fn give_up(self: Box<Self>, _engine: &Core) {}
}

impl Drop for Begin {
    fn drop(&mut self) {
        if !self.begun {
            self.engine.streams.close(&self.actor, self.stream.id);
        }
    }
}

/// What a turn pushes to streams, or how it ends them: when it has ended well, and not at all if it does not.
pub(crate) struct Push {
    pub(crate) turn: CallId,
    pub(crate) streams: Vec<Arc<OpenStream>>,
    /// Those of them that have promised room.
    pub(crate) promised: Vec<Arc<OpenStream>>,
    pub(crate) what: What,
}

pub(crate) enum What {
    Item(SharedItem),
    End(End),
}

impl Outgoing for Push {
    fn send(self: Box<Self>) {
        for stream in &self.streams {
            match &self.what {
                What::Item(item) => stream.push(item.clone()),
                What::End(end) => stream.finish(end.clone()),
            }
        }
    }

    fn give_up(self: Box<Self>, _engine: &Core) {}
}

impl Drop for Push {
    fn drop(&mut self) {
        self.promised.iter().for_each(|stream| stream.release(self.turn));
    }
}

/// Whether the owner of an actor answers calls of this method itself, without a turn.
pub(super) fn answers(method: &str) -> bool {
    method == NEXT || method == CLOSE
}

/// The answer to a call of [`NEXT`] or [`CLOSE`].
pub(super) async fn answer(engine: Arc<Core>, call: Call) -> CallResult {
    let content_type = call.arguments.content_type;
    if call.method == CLOSE {
        let close: Close = call.arguments.decode("the end of a stream")?;
        engine.streams.close(&call.target, close.stream.0);
        return Ok(Payload::encode(content_type, "the reply", &())?);
    }
    let pull: Pull = call.arguments.decode("what is asked of a stream")?;
    let Some(stream) = engine.streams.find(&call.target, pull.stream.0) else {
        let gone = End::Gone(engine.why_no_stream(&call.target));
        return Ok(Batch::of(Vec::new(), Some(gone), content_type).encode(content_type)?);
    };
    let now = engine.env.now();
    engine.keep_alive(&call.target, now + CONSUMER_GONE_AFTER);
    let answered_by = call.context.deadline.checked_sub(MARGIN).unwrap_or(now);
    let until = (now + LINGER).min(answered_by);
    let most = usize::try_from(pull.most).unwrap_or(usize::MAX).clamp(1, MAX_BATCH_ITEMS);
    let (items, end) = stream.pull(pull.from, most, until).await;
    let (items, end) = fit(items, end, content_type);
    if let Some(end @ End::Invalid(_)) = &end {
        stream.spoil(pull.from, items.len(), end.clone());
    }
    Ok(Batch::of(items, end, content_type).encode(content_type)?)
}

/// As many of the items as fit one batch, encoded.
fn fit(
    items: Vec<(u64, SharedItem)>,
    end: Option<End>,
    content_type: ContentType,
) -> (Vec<(u64, Payload)>, Option<End>) {
    let (mut fitting, mut bytes) = (Vec::with_capacity(items.len()), 0);
    for (position, item) in items {
        let item = match item.encode(content_type) {
            Ok(item) if item.data.len() <= MAX_ITEM_BYTES => item,
            Ok(item) => {
                let bytes = item.data.len();
                let reason = format!(
                    "an item takes {bytes} bytes, at most {MAX_ITEM_BYTES} are allowed; split it into several"
                );
                return (fitting, Some(End::Invalid(reason)));
            }
            Err(error) => return (fitting, Some(End::Invalid(error.to_string()))),
        };
        bytes += item.data.len();
        if bytes > MAX_BATCH_BYTES && !fitting.is_empty() {
            return (fitting, None);
        }
        fitting.push((position, item));
    }
    (fitting, end)
}

impl Core {
    fn why_no_stream(&self, actor: &ActorId) -> String {
        match self.is_local(actor) {
            // Its namesake on another node may have it, and a pull never reaches that one.
            true => format!(
                "{actor} is a local actor, and the one of this node has no such stream: it has left memory, or the \
                 stream was opened on another node, where alone it can be read"
            ),
            false => format!("{actor} has no such stream: it has left memory or moved"),
        }
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }
}
