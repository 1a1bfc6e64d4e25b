//! Calls from clients: what the gateway takes, every node takes.

use std::collections::HashMap;
use std::time::Duration;

use greenroom_core::call::DEFAULT_DEADLINE;
use greenroom_core::identity::{MAX_KEY_BYTES, MAX_TYPE_BYTES};
use greenroom_core::request::MAX_BYTES;
use greenroom_core::{ContentType, Payload};
use greenroom_gateway::{DEFAULT_DEADLINE_MAX, call_of};
use greenroom_proto::v1;
use greenroom_proto::v1::call_request::Arguments;
use prost::Message;
use tokio::time::Instant;

use crate::around;
use crate::frame::{keeps_its_limit, passed_on};
use crate::identity::keeps_its_limits;

/// What the gateway does with a request, and the way of its call through the mesh.
pub(crate) fn check(input: &[u8]) {
    let Ok(request) = v1::CallRequest::decode(input) else { return };
    let (now, came) = (Instant::now(), request.clone());
    let within = Some(Duration::from_secs(5)).filter(|_| input.len().is_multiple_of(2));
    let Ok(call) = call_of(request, within, now, || 7) else { return };
    keeps_its_limits(&call.target);
    keeps_its_limit(&call.context.request);
    let asked = Some(came.deadline_ms).filter(|ms| *ms > 0).map_or(DEFAULT_DEADLINE, Duration::from_millis);
    let deadline = now + asked.min(DEFAULT_DEADLINE_MAX).min(within.unwrap_or(asked));
    assert_eq!(call.context.deadline, deadline, "{} ms, {within:?}", came.deadline_ms);
    // A client can pull streams and close them, and nothing else of what nodes say to each other.
    assert!(!call.method.starts_with('@') || ["@next", "@close"].contains(&&*call.method), "{}", call.method);
    assert!(
        call.context.chain.is_empty() && call.context.request.topic().is_none() && call.delivery.is_none()
    );
    let _ = call.arguments.to_string();
    // The owner refuses a call without a method, wherever it is.
    if !call.method.is_empty() {
        let arrived = passed_on(&call, false, 77, now);
        assert_eq!(arrived.arguments, Some(arguments(came.arguments).into()));
        let id = if came.call_id.is_empty() { 7u128.to_be_bytes().to_vec().into() } else { came.call_id };
        assert_eq!((arrived.call_id, arrived.method), (id, came.method));
        assert_eq!(arrived.request_context, came.request_context);
    }
}

fn arguments(came: Option<Arguments>) -> Payload {
    let Some(came) = came else { return Payload::default() };
    let (content_type, data) = match came {
        Arguments::Json(json) => (ContentType::Json, json.into()),
        Arguments::Msgpack(data) => (ContentType::Msgpack, data),
        Arguments::Protobuf(data) => (ContentType::Protobuf, data),
    };
    Payload { content_type, data }
}

/// Requests with every form of arguments and with none, and some that are just too long.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let json = Arguments::Json(r#"{"by":3}"#.into());
    let msgpack = Arguments::Msgpack(b"\x81\xa2by\x03"[..].into());
    let protobuf = Arguments::Protobuf(b"\x0a\x03tea"[..].into());
    let request = |arguments| v1::CallRequest {
        r#type: "Counter".into(),
        key: "page-1".into(),
        method: "add".into(),
        arguments,
        call_id: vec![3; 16].into(),
        deadline_ms: 500,
        request_context: HashMap::from([("user".into(), "ada".into())]),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
    };
    let requests = [request(Some(json)), request(Some(msgpack)), request(Some(protobuf)), request(None)];
    let plain = || request(None);
    let methods = ["@next", "@close", "@other", ""];
    let methods = methods.map(|method| v1::CallRequest { method: method.into(), ..plain() });
    let longest = DEFAULT_DEADLINE_MAX.as_millis() as u64;
    let deadlines = [0, longest, longest + 1, u64::MAX];
    let deadlines = deadlines.map(|deadline_ms| v1::CallRequest { deadline_ms, ..plain() });
    let ids = [0, 15, 17].map(|bytes| v1::CallRequest { call_id: vec![3; bytes].into(), ..plain() });
    let types = around(MAX_TYPE_BYTES).map(|actor_type| v1::CallRequest { r#type: actor_type, ..plain() });
    let keys = around(MAX_KEY_BYTES).map(|key| v1::CallRequest { key, ..plain() });
    let contexts = around(MAX_BYTES - 4)
        .map(|value| v1::CallRequest { request_context: HashMap::from([("user".into(), value)]), ..plain() });
    let requests = requests.into_iter().chain(methods).chain(deadlines).chain(ids);
    requests.chain(types).chain(keys).chain(contexts).map(|request| request.encode_to_vec()).collect()
}
