//! The gRPC gateway: `greenroom.v1.Gateway`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::transport::SharedTransport;
use greenroom_proto::convert::status_of;
use greenroom_proto::v1;
use greenroom_proto::v1::gateway_server::GatewayServer;
use tonic::{Request, Response, Status};

use crate::limits::MAX_MESSAGE_BYTES;
use crate::request::call_of;

/// What is counted about the gateway.
#[derive(Debug, Default)]
pub struct GatewayStats {
    /// Calls taken.
    pub calls: AtomicU64,
    /// Calls answered with an error.
    pub failed: AtomicU64,
    /// Calls refused because they were not well formed.
    pub refused: AtomicU64,
}

/// The gateway service. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    calls: SharedTransport,
    stats: Arc<GatewayStats>,
}

impl Gateway {
    /// A gateway that makes each call once through `calls`.
    pub fn new(calls: SharedTransport) -> Self {
        Self { calls, stats: Arc::default() }
    }

    /// What is counted.
    pub fn stats(&self) -> &Arc<GatewayStats> {
        &self.stats
    }

    /// The service, with the limits of this crate.
    pub fn service(&self) -> GatewayServer<Self> {
        GatewayServer::new(self.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }
}

#[tonic::async_trait]
impl v1::gateway_server::Gateway for Gateway {
    async fn call(&self, request: Request<v1::CallRequest>) -> Result<Response<v1::CallReply>, Status> {
        self.stats.calls.fetch_add(1, Ordering::Relaxed);
        let grpc_deadline = grpc_timeout(&request);
        let traceparent =
            request.metadata().get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut request = request.into_inner();
        if request.traceparent.is_empty() {
            request.traceparent = traceparent.unwrap_or_default();
        }
        let env = self.calls.env();
        let call = call_of(request, grpc_deadline, env.now(), || env.random()).map_err(|error| {
            self.stats.refused.fetch_add(1, Ordering::Relaxed);
            status_of(error)
        })?;
        let reply = self.calls.call(call).await.map_err(|error| {
            self.stats.failed.fetch_add(1, Ordering::Relaxed);
            status_of(error)
        })?;
        Ok(Response::new(v1::CallReply { reply: Some(encode(reply)?) }))
    }
}

fn encode(reply: Payload) -> Result<v1::call_reply::Reply, Status> {
    if reply.data.len() > MAX_MESSAGE_BYTES {
        let (is, limit) = (reply.data.len(), MAX_MESSAGE_BYTES);
        return Err(Status::out_of_range(format!(
            "the reply has {is} bytes, at most {limit} fit; ask for less"
        )));
    }
    match reply.content_type {
        ContentType::Msgpack => Ok(v1::call_reply::Reply::Msgpack(reply.data)),
        ContentType::Protobuf => Ok(v1::call_reply::Reply::Protobuf(reply.data)),
        ContentType::Json => String::from_utf8(reply.data.into())
            .map(v1::call_reply::Reply::Json)
            .map_err(|_| Status::internal("the reply is not valid JSON")),
    }
}

/// The deadline of the gRPC request itself, from its `grpc-timeout` header (digits and a unit, as gRPC defines it).
fn grpc_timeout<T>(request: &Request<T>) -> Option<Duration> {
    let value = request.metadata().get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(amount.saturating_mul(60))),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grpc_deadline_is_read_in_every_unit() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("5S", Some(Duration::from_secs(5))),
            ("7m", Some(Duration::from_millis(7))),
            ("9u", Some(Duration::from_micros(9))),
            ("11n", Some(Duration::from_nanos(11))),
            ("", None),
            ("S", None),
            ("x5", None),
        ] {
            let mut request = Request::new(());
            request.metadata_mut().insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(grpc_timeout(&request), expected, "{text:?}");
        }
    }
}
