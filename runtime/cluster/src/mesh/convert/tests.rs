//! What comes back from the wire is what went in, and what does not fit is refused with words for its caller.

use greenroom_core::request::RequestContext;
use greenroom_core::{ActorId, ActorType, ContentType, Payload};
use proptest::prelude::*;
use prost::Message;

use super::*;

fn actor() -> impl Strategy<Value = ActorId> {
    ("[A-Za-z][A-Za-z0-9_.]{0,20}", "\\PC{1,40}")
        .prop_map(|(ty, key)| ActorId::new(ActorType::new(ty).unwrap(), key).unwrap())
}

fn payload() -> impl Strategy<Value = Payload> {
    (any::<bool>(), any::<Vec<u8>>()).prop_map(|(json, data)| {
        let content_type = if json { ContentType::Json } else { ContentType::Msgpack };
        Payload { content_type, data: data.into() }
    })
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (actor(), any::<u128>(), any::<bool>(), any::<Option<u64>>());
    let frame = frame.prop_map(|(actor, id, exclusive, window)| Frame {
        actor,
        call_id: CallId(id),
        exclusive,
        window,
    });
    proptest::collection::vec(frame, 0..5)
}

fn reply() -> impl Strategy<Value = MeshReply> {
    let text = "\\PC{0,30}";
    let error = prop_oneof![
        any::<Option<bool>>().prop_map(|committed| CallError::Timeout { committed }),
        proptest::collection::vec(text, 0..4).prop_map(|path| CallError::Deadlock { path }),
        text.prop_map(CallError::Overloaded),
        text.prop_map(CallError::NotFound),
        text.prop_map(CallError::Invalid),
        text.prop_map(CallError::Unavailable),
        text.prop_map(CallError::Panicked),
        payload().prop_map(CallError::App),
    ];
    let moved = (any::<Option<u128>>(), any::<u64>()).prop_map(|(owner, epoch)| MeshReply::Moved {
        owner: owner.map(|store| StoreId(Uuid::from_u128(store))),
        epoch: Epoch(epoch),
    });
    prop_oneof![
        payload().prop_map(|p| MeshReply::Reply(Ok(p))),
        error.prop_map(|e| MeshReply::Reply(Err(e))),
        moved
    ]
}

proptest! {
    #[test]
    fn every_reply_comes_back_as_it_was(reply in reply()) {
        let bytes = reply_to_wire(reply.clone()).encode_to_vec();
        let wire = v1::Response::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(reply_from_wire(wire), Ok(reply));
    }

    #[test]
    fn every_request_comes_back_as_it_was(
        target in actor(), method in "[a-z_]{1,20}", arguments in payload(), id: u128,
        frames in frames(), shard: u16, epoch: u64, left in 0..100_000_u64,
        entries in proptest::collection::btree_map("[a-z]{1,9}", ".{0,20}", 0..4), traceparent in "([0-9a-f-]{55})?",
        topic in "([a-z/]{1,20})?",
    ) {
        let now = Instant::now();
        let deadline = now + Duration::from_millis(left);
        let mut request = RequestContext::of(entries).unwrap();
        request.set_traceparent(&traceparent);
        request.set_topic(&topic).unwrap();
        let chain = Chain::from_outermost(frames.clone());
        let context = CallContext { id: CallId(id), deadline, chain, request: request.clone() };
        let call = Call { target, method: method.into(), arguments, context, delivery: None };
        let mut wire = request_to_wire(&call, false);
        wire.deadline_ms = remaining_ms(now, deadline);
        let wire = v1::Request::decode(wire.encode_to_vec().as_slice()).unwrap();

        let read = request_from_wire(u32::from(shard), epoch, wire, now).unwrap();
        prop_assert_eq!((read.shard, read.epoch), (Shard(shard), Epoch(epoch)));
        prop_assert_eq!((read.call.target, read.call.method), (call.target, call.method));
        prop_assert_eq!((read.call.arguments, read.call.context.id), (call.arguments, call.context.id));
        prop_assert_eq!(read.call.context.deadline, deadline);
        prop_assert_eq!(read.call.context.request, request);
        let mut chain: Vec<_> = read.call.context.chain.frames().cloned().collect();
        chain.reverse();
        prop_assert_eq!(chain, frames);
    }

    #[test]
    fn bytes_that_decode_never_panic_behind_the_border(bytes: Vec<u8>, shard: u32, deadline_ms: u64) {
        if let Ok(request) = v1::Request::decode(bytes.as_slice()) {
            let _ = request_from_wire(shard, 1, v1::Request { deadline_ms, ..request }, Instant::now());
        }
        if let Ok(response) = v1::Response::decode(bytes.as_slice()) {
            let _ = reply_from_wire(response);
        }
    }
}

fn valid() -> v1::Request {
    let actor = v1::ActorId { r#type: "Counter".into(), key: "a".into() };
    let call_id = vec![0; 16].into();
    v1::Request { target: Some(actor), method: "add".into(), call_id, ..Default::default() }
}

#[test]
fn what_a_request_must_have_is_named_when_it_is_missing_or_wrong() {
    let read = |shard, request| {
        request_from_wire(shard, 1, request, Instant::now()).map(|_| ()).map_err(|e| e.to_string())
    };
    let json = Some(v1::Payload { content_type: 7, ..Default::default() });
    let deep = vec![v1::CallFrame::default(); MAX_CHAIN + 1];
    let large = std::collections::HashMap::from([("a".to_owned(), "a".repeat(5000))]);
    assert_eq!(read(1, valid()), Ok(()));
    assert_eq!(read(1, v1::Request { topic: "a".repeat(256), ..valid() }), Ok(()));
    for (shard, request, part) in [
        (70_000, valid(), "shard 70000 is out of range"),
        (1, v1::Request { target: None, ..valid() }, "no target"),
        (1, v1::Request { method: String::new(), ..valid() }, "no method"),
        (1, v1::Request { call_id: vec![1].into(), ..valid() }, "16 bytes, this one has 1"),
        (1, v1::Request { arguments: json, ..valid() }, "content type 7"),
        (1, v1::Request { chain: vec![v1::CallFrame::default()], ..valid() }, "call chain"),
        (1, v1::Request { chain: deep, ..valid() }, "nested 1025 deep"),
        (1, v1::Request { request_context: large, ..valid() }, "at most 4096 are allowed"),
        (1, v1::Request { topic: "a".repeat(257), ..valid() }, "the topic takes 257 bytes, at most 256"),
    ] {
        let error = read(shard, request).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_deadline_that_no_clock_can_hold_is_cut() {
    let request = v1::Request { deadline_ms: u64::MAX, ..valid() };
    let now = Instant::now();
    let read = request_from_wire(1, 1, request, now).unwrap();
    assert_eq!(read.call.context.deadline, now + LONGEST_DEADLINE);
}

#[test]
fn an_unknown_kind_of_error_keeps_its_name() {
    let wire = v1::CallError { kind: "brand_new".into(), message: "why".into(), ..Default::default() };
    let error = CallError::try_from(wire).unwrap();
    assert_eq!(error, CallError::Invalid("the other node answered \"brand_new\": why".into()));
}
