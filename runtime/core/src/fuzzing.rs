//! What is stored and sent and nobody outside of this crate may read, for the fuzz targets: each function reads a form and
//! writes it again. `None`: it is none.
//!
//! Not part of the public interface.

#![allow(missing_docs, reason = "the names are those of the forms")]

use std::fmt::Debug;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;

use crate::codec::{ContentType, Payload, read_stored};
use crate::engine::reminders::{Stored, name_key, split_name_key};
use crate::engine::{Letter, LetterId, Message, Place};
use crate::identity::{ActorId, CallId};
use crate::request::RequestContext;
use crate::schedule::Schedule;
use crate::streams::wire::Batch;
use crate::topics;
pub use crate::workflow::forms::{WORKFLOW_FORMS, workflow, workflows};

/// As what is stored is read.
pub(crate) fn rewrite<T: Serialize + DeserializeOwned>(form: &[u8]) -> Option<Vec<u8>> {
    read_stored(form).ok().map(|read: T| write(&read))
}

/// As arguments and replies are read.
pub(crate) fn resend<T: Serialize + DeserializeOwned>(form: &[u8]) -> Option<Vec<u8>> {
    let payload = Payload { content_type: ContentType::Msgpack, data: Bytes::copy_from_slice(form) };
    payload.decode("it").ok().map(|read: T| write(&read))
}

pub(crate) fn write<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("it has nothing that MessagePack lacks")
}

/// The form of a value, which has all of it: what is read from there is the same again.
pub(crate) fn whole<T: Serialize + DeserializeOwned + Debug>(value: &T) -> Vec<u8> {
    let form = write(value);
    let read: T = read_stored(&form).expect("what was written is a form");
    assert_eq!(format!("{read:?}"), format!("{value:?}"));
    form
}

pub fn reminder(value: &[u8]) -> Option<Vec<u8>> {
    Stored::decode(value).map(|stored| write(&stored))
}

/// By name; of the row by due time it is what stands behind the time.
pub fn reminder_key(key: &[u8]) -> Option<Vec<u8>> {
    split_name_key(key).map(|(actor, name)| name_key(&actor, name).to_vec())
}

pub fn message(value: &[u8]) -> Option<Vec<u8>> {
    Message::read(value).map(|message| write(&message))
}

pub fn message_key(key: &[u8]) -> Option<Vec<u8>> {
    Place::read(key).map(|(from, place)| place.key(&from).to_vec())
}

pub fn dead_letter(value: &[u8]) -> Option<Vec<u8>> {
    Letter::read(value).map(|letter| write(&letter))
}

/// As people write it.
pub fn dead_letter_id(text: &[u8]) -> Option<Vec<u8>> {
    LetterId::read(str::from_utf8(text).ok()?).map(|id| id.to_string().into_bytes())
}

/// The values of a reminder's, a message's and a dead letter's row.
pub fn rows() -> [Vec<u8>; 3] {
    let (schedule, id) = (Schedule::cron("0 4 * * *", "UTC"), CallId(7));
    let (arguments, mut request) = (Payload::default(), RequestContext::default());
    request.set_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    request.set_topic("chat/lobby").expect("it is short");
    let method: SmolStr = "add".into();
    let stored = Stored {
        schedule,
        due: 5,
        set_by: id,
        method: method.clone(),
        arguments: arguments.clone(),
        request: request.clone(),
    };
    let target: ActorId = "Bank/a".parse().expect("it is written here and valid");
    let message = Message { target: target.clone(), method, arguments, id, request };
    let (kind, error) = ("app".to_owned(), "no".to_owned());
    let letter = Letter { from: target, message: message.clone(), kind, error, at_unix_ms: 5 };
    [whole(&stored), whole(&message), whole(&letter)]
}

pub fn batch(payload: &Payload) -> Option<Payload> {
    Batch::decode(payload)
        .ok()
        .map(|batch| batch.encode(payload.content_type).expect("what was read can be written"))
}

/// Whether it is the name of one topic; `None`: it is no pattern.
pub fn topic_pattern(text: &str) -> Option<bool> {
    topics::Pattern::new(text).ok().map(|pattern| pattern.into_one().is_ok())
}

/// Whether a pattern stands for a topic.
pub fn pattern_matches(pattern: &str, topic: &str) -> bool {
    topics::matches(pattern, topic)
}

/// Bytes that were encoded.
pub(crate) fn bytes() -> Bytes {
    write(&("ü", 7, [1.5])).into()
}
