//! Frames between nodes, with the calls and answers in them.

use std::time::Duration;

use bytes::Bytes;
use greenroom_cluster::mesh::convert::{
    MAX_CHAIN, remaining_ms, reply_from_wire, reply_to_wire, request_from_wire, request_to_wire,
};
use greenroom_cluster::network::MeshReply;
use greenroom_core::call::{Call, CallContext, Chain, Delivery, Frame};
use greenroom_core::request::RequestContext;
use greenroom_core::{CallError, CallId, ContentType, Epoch, Payload, StoreId};
use greenroom_proto::v1;
use greenroom_proto::v1::envelope::Body;
use prost::Message;
use tokio::time::Instant;

use crate::identity::{actor, keeps_its_limits};

/// What a node does with a frame before it believes any of it.
pub fn check(input: &[u8]) {
    if let Ok(frame) = v1::Frame::decode(input) {
        assert_eq!(v1::Frame::decode(&frame.encode_to_vec()[..]).as_ref(), Ok(&frame));
        frame.envelopes.into_iter().for_each(check_envelope);
    }
}

fn check_envelope(envelope: v1::Envelope) {
    match envelope.body {
        Some(Body::Call(request)) => check_request(envelope.shard, envelope.epoch, request),
        Some(Body::Response(response)) => {
            let came = response.clone();
            let Ok(read) = reply_from_wire(response) else { return };
            if let MeshReply::Reply(Err(error)) = &read {
                let _ = error.to_string();
            }
            let moved = matches!(read, MeshReply::Moved { .. });
            let wire = reply_to_wire(read);
            assert!(!moved || wire == came, "{came:?} was read as {wire:?}");
            let read = reply_from_wire(wire.clone()).expect("a node reads what it has written");
            assert_eq!(reply_to_wire(read), wire);
        }
        _ => {}
    }
}

fn check_request(shard: u32, epoch: u64, request: v1::Request) {
    let (now, one_way, came) = (Instant::now(), request.one_way, request.clone());
    let Ok(read) = request_from_wire(shard, epoch, request, now) else { return };
    keeps_its_limits(&read.call.target);
    assert!(read.call.context.chain.frames().count() <= MAX_CHAIN);
    // Whoever is named in it is named exactly so.
    let wire = request_to_wire(&read.call, one_way);
    assert_eq!(
        (wire.target, wire.call_id, wire.chain, wire.delivery),
        (came.target, came.call_id, came.chain, came.delivery)
    );
    assert_eq!(passed_on(&read.call, one_way, shard, now), {
        let mut wire = request_to_wire(&read.call, one_way);
        wire.deadline_ms = remaining_ms(now, read.call.context.deadline);
        wire
    });
}

/// A call as the node after the next one gets it.
pub(crate) fn passed_on(call: &Call, one_way: bool, shard: u32, now: Instant) -> v1::Request {
    let mut first = request_to_wire(call, one_way);
    first.deadline_ms = remaining_ms(now, call.context.deadline);
    let read = request_from_wire(shard, 5, first, now).expect("a node reads what another one has taken");
    let mut second = request_to_wire(&read.call, one_way);
    second.deadline_ms = remaining_ms(now, read.call.context.deadline);
    second
}

/// An answer and a call whose ids have so many bytes; 16 would be right.
fn with_ids_of(bytes: usize) -> [Body; 2] {
    let id = Bytes::from(vec![7; bytes]);
    let moved = v1::response::Result::Moved(v1::Moved { owner: id.clone(), epoch: 9 });
    let request = v1::Request { call_id: id, ..request_to_wire(&call(), false) };
    [Body::Response(v1::Response { result: Some(moved) }), Body::Call(request)]
}

/// Frames as nodes send them, and with ids that are too short or too long: with one envelope each, and with all.
pub fn seeds() -> Vec<Vec<u8>> {
    let app =
        Payload { content_type: ContentType::Msgpack, data: Bytes::from_static(&[0x81, 0xa1, b'a', 1]) };
    let replies = [
        MeshReply::Reply(Ok(app.clone())),
        MeshReply::Reply(Err(CallError::App(app))),
        MeshReply::Reply(Err(CallError::Deadlock { path: vec!["A/1".into(), "B/1".into()] })),
        MeshReply::Moved { owner: Some(StoreId(uuid::Uuid::from_u128(5))), epoch: Epoch(9) },
    ];
    let request = Body::Call(request_to_wire(&call(), false));
    let replies = replies.map(|reply| Body::Response(reply_to_wire(reply)));
    let bodies = replies.into_iter().chain([request]).chain([15, 17, 32].into_iter().flat_map(with_ids_of));
    let envelope = |(body, sequence)| v1::Envelope {
        sequence,
        request: sequence,
        shard: 77,
        epoch: 5,
        body: Some(body),
    };
    let envelopes: Vec<_> = bodies.zip(1..).map(envelope).collect();
    let frame = |hello, envelopes| v1::Frame { hello, envelopes }.encode_to_vec();
    let mut frames: Vec<_> = envelopes.iter().map(|envelope| frame(None, vec![envelope.clone()])).collect();
    frames.push(frame(Some(v1::Hello::default()), envelopes));
    frames
}

fn call() -> Call {
    let frame = |id, call_id| Frame { actor: actor(id), call_id: CallId(call_id), exclusive: call_id == 1 };
    let request = RequestContext::of([("user", "ada")]).expect("it is short");
    let delivery = Delivery { from: actor("Shop/x"), lane: 3, epoch: Epoch(7), number: 8, again: true };
    Call {
        target: actor("Counter/page-1"),
        method: "add".into(),
        arguments: Payload {
            content_type: ContentType::Json,
            data: Bytes::from_static(br#"{"by":[1,{"a":null}]}"#),
        },
        context: CallContext {
            id: CallId(u128::MAX / 3),
            deadline: Instant::now() + Duration::from_secs(9),
            chain: Chain::default().push(frame("A/1", 1)).push(frame("B.b/ü", 2)),
            request,
        },
        delivery: Some(delivery.into()),
    }
}
