//! Calls from clients: what the gateway takes, every node takes.

use std::collections::HashMap;
use std::time::Duration;

use greenroom_gateway::{DEFAULT_DEADLINE_MAX, call_of};
use greenroom_proto::v1;
use greenroom_proto::v1::call_request::Arguments;
use prost::Message;
use tokio::time::Instant;

use crate::frame::passed_on;
use crate::identity::keeps_its_limits;

/// What the gateway does with a request, and the way of its call through the mesh.
pub fn check(input: &[u8]) {
    let Ok(request) = v1::CallRequest::decode(input) else { return };
    let (now, id) = (Instant::now(), request.call_id.clone());
    let within = Some(Duration::from_secs(5)).filter(|_| input.len().is_multiple_of(2));
    let Ok(call) = call_of(request, within, now, || 7) else { return };
    keeps_its_limits(&call.target);
    assert!(call.context.deadline <= now + within.unwrap_or(DEFAULT_DEADLINE_MAX));
    let _ = call.arguments.to_string();
    // The owner refuses a call without a method, wherever it is.
    if !call.method.is_empty() {
        let arrived = passed_on(&call, false, 77, now);
        assert_eq!(arrived.arguments, Some(call.arguments.into()));
        assert!(id.is_empty() || arrived.call_id == id);
    }
}

/// Requests with every form of arguments, and with none.
pub fn seeds() -> Vec<Vec<u8>> {
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
    requests.iter().map(Message::encode_to_vec).collect()
}
