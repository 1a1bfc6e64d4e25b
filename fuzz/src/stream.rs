//! Batches of a reply stream, as a consumer gets them.

use bytes::Bytes;
use greenroom_core::fuzzing as core;
use greenroom_core::{ContentType, Payload};

use crate::{choice, chosen, settles};

/// The first byte says which of the two forms the others have.
pub fn check(input: &[u8]) {
    let (form, data) = choice(input, 2);
    let content_type = [ContentType::Msgpack, ContentType::Json][usize::from(form)];
    let rewrite = |data: &[u8]| {
        let payload = Payload { content_type, data: Bytes::copy_from_slice(data) };
        core::batch(&payload).map(|written| written.data.to_vec())
    };
    settles(rewrite, data);
}

/// Two items, and an end.
pub fn seeds() -> Vec<Vec<u8>> {
    let item = |at, item: &str| serde_json::json!({ "at": at, "item": item });
    let end = serde_json::json!({ "kind": "overloaded", "message": "too slow", "error": null });
    let batch = serde_json::json!({ "items": [item(3, "a"), item(4, "ü")], "end": end });
    let json = serde_json::to_vec(&batch).expect("it is JSON");
    let msgpack = rmp_serde::to_vec_named(&batch).expect("it has nothing that MessagePack lacks");
    vec![chosen(1, json), chosen(0, msgpack)]
}
