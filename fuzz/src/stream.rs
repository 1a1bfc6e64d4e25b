//! Batches of a reply stream, as a consumer gets them.

use bytes::Bytes;
use greenroom_core::fuzzing as core;
use greenroom_core::{ContentType, Payload};
use serde_json::Value;

use crate::{choice, chosen, settles};

/// The first byte says which of the two forms the others have.
pub(crate) fn check(input: &[u8]) {
    let (form, data) = choice(input, 2);
    let content_type = [ContentType::Msgpack, ContentType::Json][usize::from(form)];
    let rewrite = |data: &[u8]| {
        let payload = Payload { content_type, data: Bytes::copy_from_slice(data) };
        core::batch(&payload).map(|written| written.data.to_vec())
    };
    settles(rewrite, data);
    if let (ContentType::Json, Some(written)) = (content_type, rewrite(data)) {
        loses_nothing(data, &written);
    }
}

/// All that stands in a batch is written again: items with their places, and how it ends.
fn loses_nothing(data: &[u8], written: &[u8]) {
    // An unknown field may be no text, and nobody reads it.
    let Ok(came) = serde_json::from_slice::<Value>(data) else { return };
    let written: Value = serde_json::from_slice(written).expect("it is a batch");
    let items = |batch: &Value| batch["items"].as_array().map_or(0, Vec::len);
    assert_eq!(items(&written), items(&came));
    let parts = |batch: &Value| {
        let items = batch["items"].as_array().into_iter().flatten();
        let items: Vec<_> = items.map(|item| (item["at"].clone(), item["item"].clone())).collect();
        (items, ["kind", "message", "error"].map(|part| batch["end"][part].clone()))
    };
    assert_eq!(parts(&written), parts(&came));
}

/// Two items, and an end.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let item = |at, item: &str| serde_json::json!({ "at": at, "item": item });
    let end =
        serde_json::json!({ "kind": "overloaded", "message": "too slow", "error": { "message": "no" } });
    let batch = serde_json::json!({ "items": [item(3, "a"), item(4, "ü")], "end": end });
    let json = serde_json::to_vec(&batch).expect("it is JSON");
    let msgpack = rmp_serde::to_vec_named(&batch).expect("it has nothing that MessagePack lacks");
    vec![chosen(1, json), chosen(0, msgpack)]
}
