//! Messages of protobuf, as prost makes them from `.proto` files, as arguments, replies and states.
//!
//! To serde a message is one value, its protobuf encoding: bytes, or base64 where the form is a text (JSON). So a message
//! goes wherever another value goes, and the only other code that knows of it is [`content`]: a call whose whole payload
//! is one message.

pub(crate) mod content;

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use data_encoding::BASE64;
use prost::Message;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A protobuf message as an argument, a reply, a field or an item: whatever prost made, which need not know serde.
///
/// ```
/// # use greenroom_core as greenroom;
/// use greenroom::Proto;
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct Order {
///     #[prost(string, tag = "1")]
///     item: String,
/// }
///
/// let order = Proto(Order { item: "tea".into() });
/// assert_eq!(order.item, "tea");
/// assert_eq!(serde_json::to_string(&order).unwrap(), r#""CgN0ZWE=""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Proto<T>(pub T);

impl<T> Deref for Proto<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Proto<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Proto<T> {
    fn from(message: T) -> Self {
        Self(message)
    }
}

impl<T: Message> Serialize for Proto<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de, T: Message + Default> Deserialize<'de> for Proto<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

/// Writes a message; with [`deserialize`] for `#[serde(with = "greenroom::protobuf")]` on a field.
pub fn serialize<T: Message, S: Serializer>(message: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = message.encode_to_vec();
    match serializer.is_human_readable() {
        true => serializer.serialize_str(&BASE64.encode(&bytes)),
        false => serializer.serialize_bytes(&bytes),
    }
}

/// Reads what [`serialize`] has written. As always in protobuf, a field that is missing has its default value, and one that
/// the message does not know is dropped.
pub fn deserialize<'de, T: Message + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let form = Form(PhantomData);
    match deserializer.is_human_readable() {
        true => deserializer.deserialize_any(form),
        false => deserializer.deserialize_bytes(form),
    }
}

/// What `#[actor(state = "protobuf")]` makes serde's traits from.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no protobuf message",
    label = "its states cannot be stored as messages",
    note = "add `#[derive(Clone, PartialEq, prost::Message)]` to it, or drop `state = \"protobuf\"`"
)]
pub trait MessageState: Sized {
    /// Writes the state.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// Reads the state.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

// So that the words above are what a user sees.
#[diagnostic::do_not_recommend]
impl<T: Message + Default> MessageState for T {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

/// Takes bytes and base64 alike: serde's own buffers (`flatten`, untagged enums) say that they are text and hold bytes.
struct Form<T>(PhantomData<T>);

impl<T: Message + Default> Visitor<'_> for Form<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bytes of the protobuf message {}, which JSON writes in base64", name::<T>())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        T::decode(bytes).map_err(|error| {
            let name = name::<T>();
            E::custom(format!("these bytes are no {name}: {error}; encode them with the node's own .proto"))
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let bytes = BASE64.decode(text.as_bytes()).map_err(|error| {
            let name = name::<T>();
            E::custom(format!("this is no base64: {error}; write the bytes of the message {name} in base64"))
        })?;
        self.visit_bytes(&bytes)
    }
}

/// How the message is called in the program, without its path.
fn name<T>() -> &'static str {
    let path = type_name::<T>();
    path.rsplit("::").next().unwrap_or(path)
}
