//! Between the types of the wire and those of core, without I/O.
//!
//! What comes from the wire is checked here once; behind this border an identity is valid and a call complete. A
//! message that does not hold what it must is an error of that one call, with words for its caller.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use greenroom_core::call::{Call, CallContext, Chain, Delivery, Frame};
use greenroom_core::request::{RequestContext, TooLarge};
use greenroom_core::topics::TopicNameError;
use greenroom_core::{CallError, CallId, Epoch, Shard, StoreId};
use greenroom_proto::convert::WireError;
use greenroom_proto::v1;
use thiserror::Error;
use tokio::time::Instant;
use uuid::Uuid;

use crate::network::{MeshReply, MeshRequest};

/// Why a message of the wire cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConvertError {
    /// A part that other protocols have too.
    #[error(transparent)]
    Part(#[from] WireError),
    /// The request context takes too much.
    #[error(transparent)]
    Request(#[from] TooLarge),
    /// What is named is no topic.
    #[error(transparent)]
    Topic(#[from] TopicNameError),
    /// There is no such shard number.
    #[error("shard {0} is out of range: shards have numbers up to 65535")]
    Shard(u32),
    /// There is no such lane.
    #[error("lane {0} of a message is out of range: lanes have numbers up to 255")]
    Lane(u32),
    /// A store id has 16 bytes.
    #[error("a store id has 16 bytes, this one has {0}")]
    Store(usize),
    /// The call comes out of more calls than anybody nests.
    #[error("the call is nested {0} deep, {MAX_CHAIN} is the limit: let one of the actors answer first")]
    Chain(usize),
}

/// The longest chain of calls inside calls that is accepted from another node.
pub const MAX_CHAIN: usize = 1024;

/// No deadline is further away than this: a larger number is a mistake, and time arithmetic must not overflow.
pub const LONGEST_DEADLINE: Duration = Duration::from_secs(366 * 24 * 3600);

/// A request as it goes over the wire; its deadline is filled in when it is written.
pub fn request_to_wire(call: &Call, one_way: bool) -> v1::Request {
    let mut chain: Vec<_> = call.context.chain.frames().map(frame_to_wire).collect();
    chain.reverse();
    v1::Request {
        target: Some((&call.target).into()),
        method: call.method.as_str().to_owned(),
        arguments: Some(call.arguments.clone().into()),
        call_id: call_id_to_wire(call.context.id),
        deadline_ms: 0,
        chain,
        traceparent: call.context.request.traceparent().unwrap_or_default().to_owned(),
        request_context: (call.context.request.entries())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        topic: call.context.request.topic().unwrap_or_default().to_owned(),
        one_way,
        delivery: call.delivery.as_deref().map(delivery_to_wire),
    }
}

/// What is left until `deadline`, in whole milliseconds.
pub fn remaining_ms(now: Instant, deadline: Instant) -> u64 {
    u64::try_from(deadline.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX)
}

/// Reads a request that came at `now`.
pub fn request_from_wire(
    shard: u32,
    epoch: u64,
    request: v1::Request,
    now: Instant,
) -> Result<MeshRequest, ConvertError> {
    let shard = Shard(u16::try_from(shard).map_err(|_| ConvertError::Shard(shard))?);
    let target = request.target.ok_or(WireError::Missing("target"))?.try_into()?;
    if request.method.is_empty() {
        return Err(WireError::Missing("method").into());
    }
    if request.chain.len() > MAX_CHAIN {
        return Err(ConvertError::Chain(request.chain.len()));
    }
    let frames: Vec<_> = request.chain.into_iter().map(frame_from_wire).collect::<Result<_, _>>()?;
    let mut request_context = RequestContext::of(request.request_context)?;
    request_context.set_traceparent(&request.traceparent);
    request_context.set_topic(&request.topic)?;
    let context = CallContext {
        id: CallId::from_bytes(&request.call_id).map_err(WireError::from)?,
        deadline: now + Duration::from_millis(request.deadline_ms).min(LONGEST_DEADLINE),
        chain: Chain::from_outermost(frames),
        request: request_context,
    };
    let arguments = request.arguments.unwrap_or_default().try_into()?;
    let delivery = request.delivery.map(delivery_from_wire).transpose()?.map(Arc::new);
    let call = Call { target, method: request.method.into(), arguments, context, delivery };
    Ok(MeshRequest { shard, epoch: Epoch(epoch), call, one_way: request.one_way })
}

/// An answer as it goes over the wire.
pub fn reply_to_wire(reply: MeshReply) -> v1::Response {
    use v1::response::Result as Wire;
    let result = match reply {
        MeshReply::Reply(Ok(payload)) => Wire::Reply(payload.into()),
        MeshReply::Reply(Err(error)) => Wire::Error(error.into()),
        MeshReply::Moved { owner, epoch } => {
            Wire::Moved(v1::Moved { owner: owner.map_or_else(Bytes::new, store_to_bytes), epoch: epoch.0 })
        }
    };
    v1::Response { result: Some(result) }
}

/// Reads an answer.
pub fn reply_from_wire(response: v1::Response) -> Result<MeshReply, ConvertError> {
    use v1::response::Result as Wire;
    Ok(match response.result.ok_or(WireError::Missing("result"))? {
        Wire::Reply(payload) => MeshReply::Reply(Ok(payload.try_into()?)),
        Wire::Error(error) => MeshReply::Reply(Err(error.try_into()?)),
        Wire::Moved(moved) => {
            MeshReply::Moved { owner: optional_store(&moved.owner)?, epoch: Epoch(moved.epoch) }
        }
    })
}

/// The answer to a call that is wrong in itself.
pub(super) fn invalid(message: String) -> v1::Response {
    reply_to_wire(MeshReply::Reply(Err(CallError::Invalid(message))))
}

/// The answer to a call that there is no room for.
pub(super) fn overloaded(message: String) -> v1::Response {
    reply_to_wire(MeshReply::Reply(Err(CallError::Overloaded(message))))
}

fn delivery_to_wire(delivery: &Delivery) -> v1::Delivery {
    let Delivery { from, lane, epoch, number, again } = delivery;
    let (from, lane) = (Some(from.into()), u32::from(*lane));
    v1::Delivery { from, lane, epoch: epoch.0, number: *number, again: *again }
}

fn delivery_from_wire(wire: v1::Delivery) -> Result<Delivery, ConvertError> {
    let from = wire.from.ok_or(WireError::Missing("sender of its message"))?.try_into()?;
    let lane = u8::try_from(wire.lane).map_err(|_| ConvertError::Lane(wire.lane))?;
    Ok(Delivery { from, lane, epoch: Epoch(wire.epoch), number: wire.number, again: wire.again })
}

fn frame_to_wire(frame: &Frame) -> v1::CallFrame {
    v1::CallFrame {
        actor: Some((&frame.actor).into()),
        call_id: call_id_to_wire(frame.call_id),
        exclusive: frame.exclusive,
        window: frame.window,
    }
}

fn frame_from_wire(wire: v1::CallFrame) -> Result<Frame, ConvertError> {
    let actor = wire.actor.ok_or(WireError::Missing("actor in its call chain"))?.try_into()?;
    let call_id = CallId::from_bytes(&wire.call_id).map_err(WireError::from)?;
    Ok(Frame { actor, call_id, exclusive: wire.exclusive, window: wire.window })
}

fn call_id_to_wire(id: CallId) -> Bytes {
    Bytes::copy_from_slice(&id.to_bytes())
}

/// The 16 bytes of a store id.
pub(super) fn store_to_bytes(store: StoreId) -> Bytes {
    Bytes::copy_from_slice(store.0.as_bytes())
}

/// A store id of 16 bytes; `None` if there are not 16.
pub(super) fn store_from_bytes(bytes: &[u8]) -> Option<StoreId> {
    Uuid::from_slice(bytes).ok().map(StoreId)
}

fn optional_store(bytes: &[u8]) -> Result<Option<StoreId>, ConvertError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    store_from_bytes(bytes).map(Some).ok_or(ConvertError::Store(bytes.len()))
}

/// A name from outside, short enough for an error message.
pub(super) fn quoted(name: &str) -> String {
    if name.len() <= 80 {
        name.to_owned()
    } else {
        format!("{}…", name.chars().take(80).collect::<String>())
    }
}

#[cfg(test)]
mod tests;
