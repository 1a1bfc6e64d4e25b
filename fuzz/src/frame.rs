//! Frames between nodes, with the calls and answers in them.

use std::time::Duration;

use bytes::Bytes;
use greenroom_cluster::mesh::convert::{
    LONGEST_DEADLINE, MAX_CHAIN, remaining_ms, reply_from_wire, reply_to_wire, request_from_wire,
    request_to_wire,
};
use greenroom_cluster::network::MeshReply;
use greenroom_core::call::{Call, CallContext, Chain, Delivery, Frame};
use greenroom_core::request::{MAX_BYTES, MAX_TRACEPARENT_BYTES, RequestContext};
use greenroom_core::topics::MAX_TOPIC_BYTES;
use greenroom_core::{CallError, CallId, ContentType, Epoch, Payload, StoreId};
use greenroom_proto::v1;
use greenroom_proto::v1::envelope::Body;
use greenroom_proto::v1::response::Result as Answer;
use prost::Message;
use tokio::time::Instant;

use crate::around;
use crate::identity::{actor, keeps_its_limits, with_keys_around_the_limit};

/// What a node does with a frame before it believes any of it.
pub(crate) fn check(input: &[u8]) {
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
            if let (MeshReply::Reply(Err(error)), Some(Answer::Error(came))) = (&read, &came.result) {
                let _ = error.to_string();
                check_error(came, error);
            }
            let whole = !matches!(read, MeshReply::Reply(Err(_)));
            let wire = reply_to_wire(read);
            assert!(!whole || wire == came, "{came:?} was read as {wire:?}");
            let read = reply_from_wire(wire.clone()).expect("a node reads what it has written");
            assert_eq!(reply_to_wire(read), wire);
        }
        _ => {}
    }
}

fn check_request(shard: u32, epoch: u64, request: v1::Request) {
    let (now, mut came) = (Instant::now(), request.clone());
    let Ok(read) = request_from_wire(shard, epoch, request, now) else { return };
    let (call, one_way) = (&read.call, read.one_way);
    assert_eq!((u32::from(read.shard.0), read.epoch), (shard, Epoch(epoch)));
    keeps_its_limits(&call.target);
    let context = &call.context;
    assert!(context.chain.frames().count() <= MAX_CHAIN);
    context.chain.frames().for_each(|frame| keeps_its_limits(&frame.actor));
    keeps_its_limit(&context.request);
    assert!(!call.method.is_empty());
    let mut wire = request_to_wire(call, one_way);
    wire.deadline_ms = remaining_ms(now, context.deadline);
    assert_eq!(passed_on(call, one_way, shard, now), wire);
    // It was read as it came; only the deadline is cut, and what is no traceparent is left out.
    came.deadline_ms = came.deadline_ms.min(remaining_ms(now, now + LONGEST_DEADLINE));
    came.arguments.get_or_insert_default();
    if came.traceparent.len() > MAX_TRACEPARENT_BYTES {
        came.traceparent.clear();
    }
    assert_eq!(wire, came);
}

/// What comes with a request is small, whoever sends it.
pub(crate) fn keeps_its_limit(request: &RequestContext) {
    let bytes: usize = request.entries().map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes <= MAX_BYTES, "{bytes} bytes");
    assert!(request.traceparent().is_none_or(|traceparent| traceparent.len() <= MAX_TRACEPARENT_BYTES));
    assert!(request.topic().is_none_or(|topic| topic.len() <= MAX_TOPIC_BYTES));
}

/// An error is of the kind that it says, as far as it is known, and has what belongs to that kind.
fn check_error(came: &v1::CallError, read: &CallError<Payload>) {
    let known = CallError::<()>::KINDS.iter().any(|(kind, _)| *kind == came.kind);
    assert_eq!(read.kind(), if known { &came.kind } else { "invalid" });
    match read {
        CallError::Timeout { committed } => assert_eq!(*committed, came.committed),
        CallError::Deadlock { path } => assert_eq!(*path, came.path),
        CallError::App(payload) => assert_eq!(Some(v1::Payload::from(payload.clone())), came.app),
        CallError::Overloaded(text)
        | CallError::NotFound(text)
        | CallError::Invalid(text)
        | CallError::Unavailable(text)
        | CallError::Panicked(text)
        | CallError::Refused(text) => assert!(text.ends_with(&came.message), "{text}"),
    }
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

/// A call that is just short enough, or just too long, in one of its parts.
fn around_the_limits() -> Vec<(u32, Body)> {
    let request = |change: &dyn Fn(&mut v1::Request)| {
        let mut request = request_to_wire(&call(), false);
        change(&mut request);
        Body::Call(request)
    };
    let frame = |at: usize| v1::CallFrame {
        actor: Some((&actor("A/a")).into()),
        call_id: (at as u128).to_be_bytes().to_vec().into(),
        exclusive: false,
        window: Some(at as u64),
    };
    let chains =
        [MAX_CHAIN, MAX_CHAIN + 1].map(|depth| request(&|it| it.chain = (0..depth).map(frame).collect()));
    let lane = |lane| request(&|it| it.delivery.iter_mut().for_each(|delivery| delivery.lane = lane));
    let targets =
        with_keys_around_the_limit().map(|target| request(&|it| it.target = Some((&target).into())));
    let contexts = around(MAX_BYTES - 4)
        .map(|value| request(&|it| it.request_context = [("user".to_owned(), value.clone())].into()));
    let traces = around(MAX_TRACEPARENT_BYTES).map(|trace| request(&|it| it.traceparent = trace.clone()));
    let topics = around(MAX_TOPIC_BYTES).map(|topic| request(&|it| it.topic = topic.clone()));
    let others = [
        request(&|it| it.method.clear()),
        request(&|it| it.one_way = true),
        request(&|it| it.arguments = None),
        request(&|it| it.deadline_ms = u64::MAX),
        lane(255),
        lane(256),
    ];
    let shards = [65_535, 65_536].map(|shard| (shard, request(&|_| {})));
    let bodies = chains.into_iter().chain(targets).chain(contexts).chain(traces).chain(topics).chain(others);
    bodies.map(|body| (77, body)).chain(shards).collect()
}

/// Frames as nodes send them, and with parts that are too short or too long: with one envelope each, and with several.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
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
    let envelope = |((shard, body), sequence)| v1::Envelope {
        sequence,
        request: sequence,
        shard,
        epoch: 5,
        body: Some(body),
    };
    let envelopes: Vec<_> = bodies.map(|body| (77, body)).zip(1..).map(envelope).collect();
    let frame = |hello, envelopes| v1::Frame { hello, envelopes }.encode_to_vec();
    let mut frames: Vec<_> = envelopes.iter().map(|envelope| frame(None, vec![envelope.clone()])).collect();
    frames.push(frame(Some(v1::Hello::default()), envelopes));
    let limits = around_the_limits().into_iter().zip(1..).map(envelope);
    frames.extend(limits.map(|envelope| frame(None, vec![envelope])));
    frames
}

fn call() -> Call {
    let frame = |id, call_id| Frame {
        actor: actor(id),
        call_id: CallId(call_id),
        exclusive: call_id == 1,
        window: (call_id == 1).then_some(3),
    };
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
