//! Calls whose whole payload is one message of protobuf, and messages inside of the other two forms.

use std::fmt::Debug;

use bytes::Bytes;
use greenroom_core::{ContentType, Payload, Proto};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Nothing, choice, chosen};

#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(string, tag = "1")]
    item: String,
    #[prost(sint64, repeated, tag = "2")]
    prices: Vec<i64>,
    #[prost(bytes = "vec", optional, tag = "3")]
    seal: Option<Vec<u8>>,
    #[prost(message, optional, boxed, tag = "4")]
    before: Option<Box<Order>>,
}

/// The arguments of a method that takes one message.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct One {
    order: Proto<Order>,
}

/// Those with names for fields, such as arguments have, come last.
const FORMS: [ContentType; 3] = [ContentType::Protobuf, ContentType::Msgpack, ContentType::Json];

/// The first byte says which form the others have.
pub(crate) fn check(input: &[u8]) {
    let (form, data) = choice(input, 3);
    let payload = Payload { content_type: FORMS[usize::from(form)], data: Bytes::copy_from_slice(data) };
    let _ = payload.to_string();
    let arguments: Option<One> = read_and_written(&payload, &FORMS[1..]);
    let reply: Option<Proto<Order>> = read_and_written(&payload, &FORMS);
    if payload.content_type == ContentType::Protobuf {
        assert_eq!(arguments.map(|one| one.order), reply, "a message has nothing around it");
        let nothing = (payload.decode::<()>("it").is_ok(), payload.decode::<Nothing>("it").is_ok());
        assert_eq!(nothing, (data.is_empty(), data.is_empty()), "nothing is the empty message");
    }
}

/// What is read can be written in these forms, and is read the same.
fn read_and_written<T>(payload: &Payload, forms: &[ContentType]) -> Option<T>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let read: T = payload.decode("it").ok()?;
    for &form in forms {
        let written = Payload::encode(form, "it", &read).expect("it was read, so it can be written");
        assert_eq!(written.decode::<T>("it").as_ref(), Ok(&read), "{form:?}");
    }
    Some(read)
}

/// A message as arguments and as a reply, in every form.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let inner = Order { item: "ü".into(), seal: Some(vec![0, 255]), ..Order::default() };
    let order = Order { item: "tea".into(), prices: vec![-1, 300], seal: None, before: Some(inner.into()) };
    let one = One { order: Proto(order) };
    let replies = FORMS.map(|form| Payload::encode(form, "it", &one.order));
    let arguments = FORMS.map(|form| Payload::encode(form, "it", &one)).into_iter().skip(1);
    let inputs = (0..).zip(replies).chain((1..).zip(arguments));
    inputs.map(|(form, payload)| chosen(form, payload.expect("it has this form").data)).collect()
}
