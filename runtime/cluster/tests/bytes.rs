//! Whatever bytes come from outside: reading them never panics, and what is read is what it says.
//!
//! An input is a valid one that has been bent: bits turned, bytes put in, taken out and repeated, two inputs spliced. Each
//! run takes new ones; what once failed is kept in `bytes.proptest-regressions` beside this file and tried first, always.
//! `PROPTEST_CASES=10000000` goes on for a night.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use greenroom_cluster::mesh::convert::{
    MAX_CHAIN, remaining_ms, reply_from_wire, reply_to_wire, request_from_wire, request_to_wire,
};
use greenroom_cluster::network::MeshReply;
use greenroom_core::call::{Call, CallContext, Chain, Delivery, Frame};
use greenroom_core::journal::{CallRecord, Commit};
use greenroom_core::request::RequestContext;
use greenroom_core::rows::{RowChange, Space, actor_prefix, split_actor_prefix};
use greenroom_core::{ActorId, CallError, CallId, ContentType, Epoch, Payload, StoreId};
use greenroom_proto::convert::error_of;
use greenroom_proto::v1;
use greenroom_proto::v1::envelope::Body;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What is done to an input.
#[derive(Debug, Clone)]
enum Bend {
    Flip(Index, u8),
    Put(Index, Vec<u8>),
    Cut(Index, usize),
    Repeat(Index, usize),
    Truncate(Index),
}

fn bends() -> impl Strategy<Value = Vec<Bend>> {
    let bend = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Bend::Flip(at, byte)),
        2 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, new)| Bend::Put(at, new)),
        2 => (any::<Index>(), 1usize..24).prop_map(|(at, count)| Bend::Cut(at, count)),
        1 => (any::<Index>(), 1usize..2000).prop_map(|(at, count)| Bend::Repeat(at, count)),
        1 => any::<Index>().prop_map(Bend::Truncate),
    ];
    prop::collection::vec(bend, 0..8)
}

fn bent(mut input: Vec<u8>, bends: &[Bend]) -> Bytes {
    for bend in bends {
        let len = input.len();
        match bend {
            Bend::Put(at, new) => drop(input.splice(at.index(len + 1).., new.iter().copied()).count()),
            _ if len == 0 => {}
            Bend::Flip(at, byte) => input[at.index(len)] ^= byte,
            Bend::Cut(at, count) => {
                let from = at.index(len);
                input.drain(from..len.min(from + count));
            }
            Bend::Repeat(at, count) => {
                let (from, byte) = (at.index(len), input[at.index(len)]);
                input.splice(from..from, std::iter::repeat_n(byte, *count));
            }
            Bend::Truncate(at) => input.truncate(at.index(len)),
        }
    }
    input.into()
}

fn actor(id: &str) -> ActorId {
    id.parse().unwrap()
}

fn call() -> Call {
    let frame =
        |id: &str, call_id| Frame { actor: actor(id), call_id: CallId(call_id), exclusive: call_id == 1 };
    let request = RequestContext::of([("user", "ada")]).unwrap();
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
        delivery: Some(
            Delivery { from: actor("Shop/x"), lane: 3, epoch: Epoch(7), number: 8, again: true }.into(),
        ),
    }
}

/// Frames as nodes send them.
fn frames() -> Vec<Vec<u8>> {
    let app =
        Payload { content_type: ContentType::Msgpack, data: Bytes::from_static(&[0x81, 0xa1, b'a', 1]) };
    let replies = [
        MeshReply::Reply(Ok(app.clone())),
        MeshReply::Reply(Err(CallError::App(app))),
        MeshReply::Reply(Err(CallError::Deadlock { path: vec!["A/1".into(), "B/1".into()] })),
        MeshReply::Moved { owner: Some(StoreId(uuid::Uuid::from_u128(5))), epoch: Epoch(9) },
    ];
    let request = Body::Call(request_to_wire(&call(), false));
    let bodies = replies.map(|reply| Body::Response(reply_to_wire(reply))).into_iter().chain([request]);
    let envelopes = bodies.zip(1..).map(|(body, sequence)| v1::Envelope {
        sequence,
        request: sequence,
        shard: 77,
        epoch: 5,
        body: Some(body),
    });
    let envelopes: Vec<_> = envelopes.collect();
    let mut frames: Vec<_> = envelopes
        .iter()
        .map(|envelope| v1::Frame { hello: None, envelopes: vec![envelope.clone()] }.encode_to_vec())
        .collect();
    frames.push(v1::Frame { hello: Some(v1::Hello::default()), envelopes }.encode_to_vec());
    frames
}

fn commit() -> Commit {
    let record = |id| CallRecord {
        id: CallId(id),
        method: "add".into(),
        arguments_hash: 3,
        reply: Payload::default(),
        at_unix_ms: 5,
    };
    let rows = vec![
        RowChange::put(Space::ITEM, &b"key"[..], &b"value"[..]),
        RowChange::remove(Space::DUE, &b"x"[..]),
    ];
    let (actor, state) = (actor("Counter/page-1"), Bytes::from_static(b"\x81\xa5total\x07"));
    Commit { actor, state, earlier: vec![record(1)], call: record(2), rows }
}

/// Arguments of many shapes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Shapes {
    text: String,
    number: i64,
    list: Vec<(u8, Option<String>)>,
    tree: serde_json::Value,
    #[serde(default)]
    bytes: Bytes,
}

fn shapes() -> Shapes {
    let tree = serde_json::json!({ "a": [1, { "b": [[], {}] }, "ü"] });
    Shapes {
        text: "ü".into(),
        number: -7,
        list: vec![(1, None), (2, Some("x".into()))],
        tree,
        bytes: Bytes::new(),
    }
}

fn check_identity(id: &ActorId) -> Result<(), TestCaseError> {
    prop_assert!((1..=64).contains(&id.actor_type.as_str().len()) && (1..=512).contains(&id.key.len()));
    prop_assert_eq!(&id.to_string().parse::<ActorId>().unwrap(), id);
    let key = actor_prefix(id).freeze();
    prop_assert_eq!(split_actor_prefix(&key), Some((id.clone(), &b""[..])));
    Ok(())
}

fn check_envelope(envelope: v1::Envelope) -> Result<(), TestCaseError> {
    let now = Instant::now();
    match envelope.body {
        Some(Body::Call(request)) => {
            let one_way = request.one_way;
            let Ok(read) = request_from_wire(envelope.shard, envelope.epoch, request, now) else {
                return Ok(());
            };
            check_identity(&read.call.target)?;
            prop_assert!(read.call.context.chain.frames().count() <= MAX_CHAIN);
            // What was read is sent on as it is.
            let mut again = request_to_wire(&read.call, one_way);
            again.deadline_ms = remaining_ms(now, read.call.context.deadline);
            let second = request_from_wire(envelope.shard, envelope.epoch, again.clone(), now).unwrap();
            let mut third = request_to_wire(&second.call, one_way);
            third.deadline_ms = again.deadline_ms;
            prop_assert_eq!(third, again);
        }
        Some(Body::Response(response)) => {
            let Ok(read) = reply_from_wire(response) else { return Ok(()) };
            if let MeshReply::Reply(Err(error)) = &read {
                let _ = error.to_string();
            }
            let wire = reply_to_wire(read);
            prop_assert_eq!(reply_to_wire(reply_from_wire(wire.clone()).unwrap()), wire);
        }
        _ => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_source_file(file!()))]

    #[test]
    fn frames_of_the_mesh(which in any::<Index>(), bends in bends()) {
        let inputs = frames();
        if let Ok(frame) = v1::Frame::decode(bent(which.get(&inputs).clone(), &bends)) {
            prop_assert_eq!(&v1::Frame::decode(&frame.encode_to_vec()[..]).unwrap(), &frame);
            frame.envelopes.into_iter().try_for_each(check_envelope)?;
        }
    }

    #[test]
    fn arguments_in_both_forms(json in any::<bool>(), bends in bends()) {
        let content_type = if json { ContentType::Json } else { ContentType::Msgpack };
        let valid = Payload::encode(content_type, "it", &shapes()).unwrap();
        let payload = Payload { content_type, data: bent(valid.data.to_vec(), &bends) };
        let _ = (payload.to_string(), payload.decode::<serde_json::Value>("it"), payload.decode::<()>("it"));
        if let Ok(read) = payload.decode::<Shapes>("it") {
            let again = Payload::encode(content_type, "it", &read).unwrap().decode::<Shapes>("it");
            prop_assert_eq!(again, Ok(read));
        }
    }

    /// Deeper than any value: an error, and not the end of the stack.
    #[test]
    fn nested_values(depth in 1usize..200_000, json in any::<bool>(), opening in any::<bool>()) {
        let (content_type, byte) = match (json, opening) {
            (true, true) => (ContentType::Json, b'['),
            (true, false) => (ContentType::Json, b'{'),
            (false, true) => (ContentType::Msgpack, 0x91),
            (false, false) => (ContentType::Msgpack, 0x81),
        };
        let payload = Payload { content_type, data: vec![byte; depth].into() };
        prop_assert!(payload.decode::<serde_json::Value>("it").is_err());
        let _ = payload.to_string();
    }

    #[test]
    fn stored_commits(bends in bends()) {
        let valid = Payload::encode(ContentType::Msgpack, "it", &commit()).unwrap();
        let payload = Payload { data: bent(valid.data.to_vec(), &bends), ..valid };
        if let Ok(read) = payload.decode::<Commit>("it") {
            check_identity(&read.actor)?;
            let again = Payload::encode(ContentType::Msgpack, "it", &read).unwrap().decode::<Commit>("it");
            prop_assert_eq!(again, Ok(read));
        }
    }

    #[test]
    fn identities(which in 0usize..3, bends in bends(), text in "\\PC{0,80}") {
        let inputs = ["Counter/page-1", "A.b_C/ü/ü", "greenroom.Index/\u{0}"];
        let input = bent(inputs[which].as_bytes().to_vec(), &bends);
        for id in [text.parse::<ActorId>(), String::from_utf8_lossy(&input).parse()].into_iter().flatten() {
            check_identity(&id)?;
        }
        let row = bent(actor_prefix(&actor(inputs[which])).to_vec(), &bends);
        if let Some((id, _)) = split_actor_prefix(&row) {
            check_identity(&id)?;
        }
        let _ = CallId::from_bytes(&input);
    }

    #[test]
    fn statuses_of_a_gateway(bends in bends()) {
        let status = greenroom_proto::convert::status_of(CallError::Deadlock { path: vec!["A/1".into()] });
        let details = bent(status.details().to_vec(), &bends);
        let _ = error_of(&tonic::Status::with_details(status.code(), "no", details)).to_string();
    }
}
