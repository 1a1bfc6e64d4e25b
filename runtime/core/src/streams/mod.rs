//! Reply streams: a method that answers with items as they come, instead of one reply.
//!
//! The method returns [`Items`]: made from a `Stream` that the turn leaves behind ([`Cx::items`](crate::Cx::items)), or
//! from a [`Feed`], into which later turns push. The caller awaits the call and gets a [`ReplyStream`].
//!
//! The reply is only a handle: the actor and the stream's id. The consumer pulls the items with calls that the owner
//! answers without a turn: "from position 17 on, at most 64". Such a call waits until there is an item, so nothing is
//! polled in vain; the next one is on its way while the consumer works on the batch before; and a consumer that does not
//! ask gets nothing, which is all there is to back-pressure. Naming a position acknowledges what is before it, so a pull
//! whose reply was lost is repeated without loss and without repetition.
//!
//! - `items`: what a method returns. `feed`: streams that turns push into.
//! - `call`: the call that opens a stream. `reply`: its consumer. `wire`: what goes between consumer and owner.

mod call;
mod feed;
mod items;
mod reply;
pub(crate) mod wire;

use std::time::Duration;

pub use call::StreamCall;
pub use feed::{Feed, WhenFull};
pub use items::{Items, StreamReply};
pub use reply::{RawItems, ReplyStream};
pub use wire::Handle;

/// How many streams one actor may have open; calls for further ones are `Overloaded`.
pub const MAX_STREAMS: usize = 1024;
/// How many items a consumer gets at a time, at most.
pub const MAX_BATCH_ITEMS: usize = 1024;
/// How many items a consumer gets at a time, unless it asks for another number.
pub const DEFAULT_BATCH_ITEMS: usize = 64;
/// How many bytes of items a consumer gets at a time, unless a single one takes more.
pub const MAX_BATCH_BYTES: usize = 256 << 10;
/// The largest item, encoded; a larger one ends its stream with `Invalid`.
pub const MAX_ITEM_BYTES: usize = 1 << 20;
/// How many items wait in a stream for its consumer, unless the feed says otherwise.
pub const DEFAULT_BUFFER_ITEMS: usize = 64;
/// A consumer that has not asked for so long is gone: its stream is ended.
pub const CONSUMER_GONE_AFTER: Duration = Duration::from_secs(60);
