//! Arguments and replies, MessagePack and JSON: errors and no panics, whatever the bytes and however deep they nest.

use bytes::Bytes;
use greenroom_core::{ContentType, Payload};
use serde::{Deserialize, Serialize};

use crate::{Nothing, choice, chosen};

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

/// One that only its variants make deep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Link(Box<Chain>),
    Links(Vec<Chain>),
}

/// The first byte says which of the two forms the others have.
pub(crate) fn check(input: &[u8]) {
    let (form, data) = choice(input, 2);
    let payload = payload(form, Bytes::copy_from_slice(data));
    let _ = (payload.to_string(), payload.decode::<()>("it"));
    let nothing = payload.decode::<Nothing>("it");
    assert!(!data.is_empty() || nothing.is_ok(), "no bytes are no fields: {nothing:?}");
    if let Ok(read) = payload.decode::<Shapes>("it") {
        again(payload.content_type, read);
    }
    if let Ok(read) = payload.decode::<Chain>("it") {
        again(payload.content_type, read);
    }
    if let Ok(read) = payload.decode::<serde_json::Value>("it") {
        again(payload.content_type, read);
    }
}

fn payload(form: u8, data: Bytes) -> Payload {
    Payload { content_type: [ContentType::Msgpack, ContentType::Json][usize::from(form)], data }
}

/// What was read can be written and is read the same.
fn again<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    form: ContentType,
    read: T,
) {
    let written = Payload::encode(form, "it", &read).expect("it was read, so it can be written");
    assert_eq!(written.decode::<T>("it"), Ok(read));
}

/// Both forms of all shapes and of nothing, and values as deep as the stack might be.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let tree = serde_json::json!({ "a": [1, { "b": [[], {}] }, "ü", 1.5, null, true] });
    let list = vec![(1, None), (2, Some("x".into()))];
    let shapes = Shapes { text: "ü".into(), number: -7, list, tree, bytes: Bytes::from_static(b"\0") };
    let chain = Chain::Link(Box::new(Chain::Links(vec![Chain::End, Chain::Link(Box::new(Chain::End))])));
    let forms = [ContentType::Msgpack, ContentType::Json];
    let valid = forms.map(|form| Payload::encode(form, "it", &shapes).expect("shapes can be encoded").data);
    let deep = [(0, 0x91), (0, 0x81), (1, b'['), (1, b'{')];
    let deep = deep.map(|(form, opening)| chosen(form, vec![opening; 500]));
    let links = [(0, &b"\x81\xa4Link"[..]), (1, br#"{"Link":"#)];
    let links = links.map(|(form, link)| chosen(form, link.repeat(20_000)));
    let chain = forms.map(|form| Payload::encode(form, "it", &chain).expect("a chain can be encoded").data);
    let valid = (0..).zip(valid).chain((0..).zip(chain)).map(|(form, data)| chosen(form, data));
    valid.chain(deep).chain(links).chain([chosen(0, []), chosen(1, [])]).collect()
}
