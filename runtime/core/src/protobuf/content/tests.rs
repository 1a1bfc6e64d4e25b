//! Messages in every content type, and what has no form in protobuf.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;
use serde::{Deserialize, Serialize};

use super::is_message;
use crate::codec::{CodecError, ContentType, Payload};
use crate::protobuf::Proto;

#[derive(Clone, PartialEq, Message)]
struct Order {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(string, tag = "2")]
    item: String,
    #[prost(bytes = "vec", tag = "3")]
    seal: Vec<u8>,
    #[prost(message, optional, boxed, tag = "4")]
    before: Option<Box<Order>>,
    #[prost(btree_map = "string, sint64", tag = "5")]
    prices: BTreeMap<String, i64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct One {
    order: Proto<Order>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Two {
    order: Proto<Order>,
    by: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct None {}

fn orders() -> impl Strategy<Value = Order> {
    let flat = || {
        (any::<u64>(), ".{0,8}", proptest::collection::vec(any::<u8>(), 0..300)).prop_flat_map(|fields| {
            let prices = proptest::collection::btree_map(".{0,4}", any::<i64>(), 0..4);
            (Just(fields), prices).prop_map(|((number, item, seal), prices)| Order {
                number,
                item,
                seal,
                before: Option::None,
                prices,
            })
        })
    };
    (flat(), proptest::option::of(flat()))
        .prop_map(|(order, before)| Order { before: before.map(Box::new), ..order })
}

fn protobuf(data: impl Into<bytes::Bytes>) -> Payload {
    Payload { content_type: ContentType::Protobuf, data: data.into() }
}

proptest! {
    /// In every content type, as the value itself and as an argument.
    #[test]
    fn a_message_is_read_back_as_it_was_written(order in orders()) {
        let bytes = order.encode_to_vec();
        let one = One { order: Proto(order) };
        for content_type in [ContentType::Msgpack, ContentType::Json, ContentType::Protobuf] {
            let value = Payload::encode(content_type, "it", &one.order).unwrap();
            prop_assert_eq!(&value.decode::<Proto<Order>>("it").unwrap(), &one.order);
            if content_type == ContentType::Protobuf {
                prop_assert_eq!(&value.data[..], &bytes[..]);
            } else {
                let arguments = Payload::encode(content_type, "them", &one).unwrap();
                prop_assert_eq!(&arguments.decode::<One>("them").unwrap(), &one);
            }
        }
        prop_assert_eq!(protobuf(bytes).decode::<One>("them").unwrap(), one);
    }

    /// Whatever bytes come, they are an error, or a message that is written and read again.
    #[test]
    fn wrong_bytes_are_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        for content_type in [ContentType::Msgpack, ContentType::Json, ContentType::Protobuf] {
            let payload = Payload { content_type, data: bytes.clone().into() };
            if let Ok(order) = payload.decode::<Proto<Order>>("it") {
                let again = Payload::encode(content_type, "it", &order).unwrap();
                prop_assert_eq!(again.decode::<Proto<Order>>("it").unwrap(), order);
            }
        }
    }
}

#[test]
fn what_is_no_message_has_no_form_in_protobuf() {
    let encode = |value: &dyn Fn() -> Result<Payload, CodecError>| value().unwrap_err().to_string();
    let two = Two { order: Proto::default(), by: 1 };
    for error in [
        encode(&|| Payload::encode(ContentType::Protobuf, "it", &7)),
        encode(&|| Payload::encode(ContentType::Protobuf, "it", "a text")),
        encode(&|| Payload::encode(ContentType::Protobuf, "it", &[1_u8, 2][..])),
        encode(&|| Payload::encode(ContentType::Protobuf, "it", &two)),
        protobuf("").decode::<u64>("it").unwrap_err().to_string(),
        protobuf("").decode::<Two>("it").unwrap_err().to_string(),
        protobuf("").decode::<Option<Proto<Order>>>("it").unwrap_err().to_string(),
        protobuf("").decode::<serde_json::Value>("it").unwrap_err().to_string(),
    ] {
        assert!(error.ends_with("; call with MessagePack or JSON"), "{error}");
    }
    assert!(is_message::<Proto<Order>>() && is_message::<()>() && is_message::<bytes::Bytes>());
    assert!(!is_message::<One>() && !is_message::<Option<Proto<Order>>>() && !is_message::<None>());
    assert!(!is_message::<String>() && !is_message::<Vec<u8>>() && !is_message::<Vec<Proto<Order>>>());
}

#[test]
fn nothing_is_the_empty_message() {
    assert_eq!(Payload::encode(ContentType::Protobuf, "it", &()).unwrap(), protobuf(""));
    protobuf("").decode::<()>("it").unwrap();
    assert_eq!(protobuf("").decode::<None>("them").unwrap(), None {});
    let error = protobuf("\x08\x01").decode::<None>("them").unwrap_err().to_string();
    assert!(error.contains("2 bytes are given for nothing; send an empty message"), "{error}");
}

#[test]
fn a_message_inside_of_serdes_own_buffers_is_read() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Order { order: Proto<Order> },
    }
    let order = Either::Order { order: Proto(Order { number: 3, ..Order::default() }) };
    for content_type in [ContentType::Msgpack, ContentType::Json] {
        let payload = Payload::encode(content_type, "it", &order).unwrap();
        assert_eq!(payload.decode::<Either>("it").unwrap(), order);
    }
}

#[test]
fn errors_name_the_field_the_message_and_what_to_do() {
    let json = |data: &'static str| Payload { content_type: ContentType::Json, data: data.into() };
    for (payload, part) in [
        (
            json(r#"{"order":{"number":1}}"#),
            "at `order`: invalid type: map, expected the bytes of the protobuf message Order, which JSON writes in base64",
        ),
        (json(r#"{"order":"!"}"#), "this is no base64"),
        (json(r#"{"order":"CA=="}"#), "these bytes are no Order"),
        (protobuf("\x0a"), "at `order`: these bytes are no Order"),
        (protobuf("\x0a"), "; encode them with the node's own .proto"),
    ] {
        let error = payload.decode::<One>("the arguments").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
