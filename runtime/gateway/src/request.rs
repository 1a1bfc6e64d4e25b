//! What a client asks for, checked once: behind this border an identity is valid and a call complete. Pure.

use std::time::Duration;

use greenroom_core::call::{Call, CallContext, Chain, DEFAULT_DEADLINE};
use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::engine::is_for_nodes_only;
use greenroom_core::error::CallError;
use greenroom_core::identity::{ActorId, ActorType, CallId};
use greenroom_core::request::RequestContext;
use greenroom_proto::v1;
use tokio::time::Instant;

use crate::limits::DEFAULT_DEADLINE_MAX;

/// Reads a request that came at `now`. `within` is the deadline of the gRPC request itself; `random` makes the id of a
/// call that has none.
///
/// # Errors
/// `Invalid` or `NotFound`, with words for the caller.
pub fn call_of(
    request: v1::CallRequest,
    within: Option<Duration>,
    now: Instant,
    random: impl FnOnce() -> u128,
) -> Result<Call, CallError<Payload>> {
    use v1::call_request::Arguments;
    let invalid = |error: &dyn std::error::Error| CallError::Invalid(error.to_string());
    let actor_type = ActorType::new(&request.r#type).map_err(|e| invalid(&e))?;
    let target = ActorId::new(actor_type, &request.key).map_err(|e| invalid(&e))?;
    if is_for_nodes_only(&request.method) {
        return Err(CallError::NotFound(format!("no actor has a method {:?}", request.method)));
    }
    let id = match request.call_id.len() {
        0 => CallId(random()),
        _ => CallId::from_bytes(&request.call_id).map_err(|e| invalid(&e))?,
    };
    let arguments = match request.arguments {
        Some(Arguments::Json(json)) => Payload { content_type: ContentType::Json, data: json.into() },
        Some(Arguments::Msgpack(data)) => Payload { content_type: ContentType::Msgpack, data },
        Some(Arguments::Protobuf(data)) => Payload { content_type: ContentType::Protobuf, data },
        None => Payload::default(),
    };
    let asked = match request.deadline_ms {
        0 => DEFAULT_DEADLINE,
        millis => Duration::from_millis(millis),
    };
    let deadline = now + asked.min(within.unwrap_or(asked)).min(DEFAULT_DEADLINE_MAX);
    let mut context_of_request = RequestContext::of(request.request_context).map_err(|e| invalid(&e))?;
    context_of_request.set_traceparent(&request.traceparent);
    let context = CallContext { id, deadline, chain: Chain::default(), request: context_of_request };
    Ok(Call { target, method: request.method.into(), arguments, context, delivery: None })
}
