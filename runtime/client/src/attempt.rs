//! One attempt of a call at one gateway: over gRPC, or another way in a simulated cluster.

use std::sync::Arc;
use std::time::Duration;

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::call::{Call, CallResult};
use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::env::{SharedEnv, SystemEnv};
use greenroom_core::error::CallError;
use greenroom_proto::convert::{error_of, millis};
use greenroom_proto::v1;
use tonic::{Code, Request};

use crate::endpoints::{Endpoints, Gateway};

/// The gateways of a cluster and the way to them.
pub trait Gateways: Send + Sync + 'static {
    /// Tries the call once, at one of them. Dropping the future cancels the call.
    fn attempt<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Attempt>;

    /// Time and randomness for calls and the pauses between attempts.
    fn env(&self) -> &SharedEnv;
}

/// What one attempt came to.
pub enum Attempt {
    /// The cluster has answered.
    Answered(CallResult),
    /// The gateway itself did not answer: another one may.
    NoGateway(String),
}

/// The real way.
pub(crate) struct OverGrpc {
    endpoints: Endpoints,
    env: SharedEnv,
}

impl OverGrpc {
    pub(crate) fn to(endpoints: Endpoints) -> Self {
        Self { endpoints, env: Arc::new(SystemEnv) }
    }
}

impl Gateways for OverGrpc {
    fn attempt<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Attempt> {
        async move {
            let (turn, gateway) = self.endpoints.current();
            let left = call.context.deadline.saturating_duration_since(self.env.now());
            let attempt = attempt(gateway, call, left).await;
            if let Attempt::NoGateway(_) = &attempt {
                self.endpoints.failed(turn);
            }
            attempt
        }
        .boxed()
    }

    fn env(&self) -> &SharedEnv {
        &self.env
    }
}

async fn attempt(mut gateway: Gateway, call: &Call, left: Duration) -> Attempt {
    let arguments = match call.arguments.content_type {
        ContentType::Msgpack => v1::call_request::Arguments::Msgpack(call.arguments.data.clone()),
        ContentType::Protobuf => v1::call_request::Arguments::Protobuf(call.arguments.data.clone()),
        ContentType::Json => match std::str::from_utf8(&call.arguments.data) {
            Ok(json) => v1::call_request::Arguments::Json(json.to_owned()),
            Err(_) => return Attempt::Answered(Err(CallError::Invalid("the arguments are no UTF-8".into()))),
        },
    };
    let request = v1::CallRequest {
        r#type: call.target.actor_type.as_str().to_owned(),
        key: call.target.key.as_str().to_owned(),
        method: call.method.to_string(),
        arguments: Some(arguments),
        call_id: Bytes::copy_from_slice(&call.context.id.to_bytes()),
        deadline_ms: millis(left),
        request_context: owned(call.context.request.entries()),
        traceparent: call.context.request.traceparent().unwrap_or_default().to_owned(),
    };
    match gateway.client.call(Request::new(request)).await {
        Ok(reply) => Attempt::Answered(decode(reply.into_inner())),
        // A gateway's own answer carries details; without them the transport spoke, and the call may not have arrived.
        Err(status) if status.details().is_empty() && is_transport(status.code()) => {
            Attempt::NoGateway(format!("{} does not answer: {}", gateway.address, status.message()))
        }
        Err(status) => Attempt::Answered(Err(error_of(&status))),
    }
}

fn owned<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> HashMap<String, String> {
    entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn is_transport(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
}

fn decode(reply: v1::CallReply) -> CallResult {
    match reply.reply {
        Some(v1::call_reply::Reply::Msgpack(data)) => {
            Ok(Payload { content_type: ContentType::Msgpack, data })
        }
        Some(v1::call_reply::Reply::Json(json)) => {
            Ok(Payload { content_type: ContentType::Json, data: json.into() })
        }
        Some(v1::call_reply::Reply::Protobuf(data)) => {
            Ok(Payload { content_type: ContentType::Protobuf, data })
        }
        None => Err(CallError::Invalid("the gateway sent an empty reply; is it a newer version?".into())),
    }
}
