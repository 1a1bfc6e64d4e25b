//! A call on its way: what it asks, until when, and which calls it is made from.

use std::sync::Arc;

use smol_str::SmolStr;
use tokio::time::Instant;

use crate::codec::Payload;
use crate::error::CallError;
use crate::identity::{ActorId, CallId, Epoch};
use crate::request::RequestContext;

/// How long a call waits unless it says otherwise.
pub const DEFAULT_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

/// A call whose arguments are encoded, as it goes to another node or comes from one.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who is called.
    pub target: ActorId,
    /// The wire name of the method.
    pub method: SmolStr,
    /// The arguments, by name.
    pub arguments: Payload,
    /// Its identity; a repeated call has the same.
    pub context: CallContext,
    /// Its place in the outbox that it comes from; `None` for everything else than a reliable message.
    pub delivery: Option<Arc<Delivery>>,
}

/// The place of a reliable message among those of its sender. Numbers of one sender and lane only grow, and a message is
/// sent when all before it to the same target have been applied or given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Who has sent it.
    pub from: ActorId,
    /// What is numbered together.
    pub lane: u8,
    /// The epoch at which the sender's shard gave the number.
    pub epoch: Epoch,
    /// The number within that epoch.
    pub number: u64,
    /// It may have been sent before.
    pub again: bool,
}

/// What travels with every call.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The call's identity.
    pub id: CallId,
    /// When the caller stops waiting; the callee's turn is then cancelled and rolled back.
    pub deadline: Instant,
    /// The calls that it is made from.
    pub chain: Chain,
    /// What its request carries.
    pub request: RequestContext,
}

/// What comes back: the encoded reply, or why there is none.
pub type CallResult = Result<Payload, CallError<Payload>>;

/// The calls that a call is made from, innermost first; empty for a call from outside. Cheap to clone and to extend.
#[derive(Debug, Clone, Default)]
pub struct Chain(Option<Arc<Link>>);

#[derive(Debug)]
struct Link {
    frame: Frame,
    outer: Chain,
}

/// One call of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The actor whose turn made the next call.
    pub actor: ActorId,
    /// The id of the call that this turn answers.
    pub call_id: CallId,
    /// True if the turn holds its actor exclusively.
    pub exclusive: bool,
    /// The window that this turn has open for the next call, see [`Cx::reentrant`](crate::Cx::reentrant): the place of
    /// that call among those of the turn.
    pub window: Option<u64>,
}

impl Chain {
    /// This chain with one more call at its inner end.
    pub fn push(&self, frame: Frame) -> Self {
        Self(Some(Arc::new(Link { frame, outer: self.clone() })))
    }

    /// True for a call from outside.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The frames, innermost first.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        std::iter::successors(self.0.as_deref(), |link| link.outer.0.as_deref()).map(|link| &link.frame)
    }

    /// A chain from frames that come outermost first, as they stand on the wire.
    pub fn from_outermost(frames: impl IntoIterator<Item = Frame>) -> Self {
        frames.into_iter().fold(Self::default(), |chain, frame| chain.push(frame))
    }

    /// The cycle that a call to `target` would close, from `target` back to itself: empty if there is none.
    ///
    /// A turn of the chain that reads can be entered by another reading call; every other repetition would wait for
    /// a turn that waits for the call.
    pub fn cycle(&self, target: &ActorId, exclusive: bool) -> Vec<String> {
        let closes = |frame: &Frame| frame.actor == *target && (frame.exclusive || exclusive);
        let Some(start) = self.frames().position(closes) else { return Vec::new() };
        let inner: Vec<_> = self.frames().take(start + 1).map(|frame| frame.actor.to_string()).collect();
        inner.into_iter().rev().chain([target.to_string()]).collect()
    }
}
