//! The content type `protobuf`: the payload of a call is one message and nothing around it, for clients in any language.
//!
//! What serde sees as bytes is a message, and `()` is the message without fields (`google.protobuf.Empty`). The arguments
//! of a method are such a payload if there is one of them and it is a message, or if there are none. Everything else has
//! no form in protobuf: fields have numbers there, and no names.

use bytes::Bytes;
use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};

/// What to do about a value that has no form in protobuf.
const OTHERWISE: &str = "call with MessagePack or JSON";

/// Writes a value that is a message. A message in MessagePack is its bytes behind their length.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, String> {
    let form = Bytes::from(rmp_serde::to_vec_named(value).map_err(|error| error.to_string())?);
    let head = match form.first() {
        // Nil.
        Some(0xc0) => 1,
        // Bytes with a length of one, two or four bytes.
        Some(0xc4) => 2,
        Some(0xc5) => 3,
        Some(0xc6) => 5,
        _ => return Err(format!("it is no protobuf message; {OTHERWISE}")),
    };
    Ok(form.slice(head..))
}

/// Whether every value of this type is a message: it can then be read from no bytes, which are a message of every type.
pub(crate) fn is_message<T: DeserializeOwned>() -> bool {
    T::deserialize(Form { bytes: &[], of_arguments: false }).is_ok()
}

/// Reads a message, or arguments that consist of one.
pub(crate) fn reader(bytes: &[u8]) -> Form<'_> {
    Form { bytes, of_arguments: true }
}

/// The bytes of a message.
pub(crate) struct Form<'de> {
    bytes: &'de [u8],
    /// A struct may be asked for, whose only field is the message.
    of_arguments: bool,
}

impl<'de> Form<'de> {
    fn unit(&self) -> Result<(), Error> {
        match self.bytes.len() {
            0 => Ok(()),
            bytes => {
                Err(Error::custom(format!("{bytes} bytes are given for nothing; send an empty message")))
            }
        }
    }
}

impl<'de> IntoDeserializer<'de, Error> for Form<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Form<'de> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom(format!("it is no protobuf message; {OTHERWISE}")))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.bytes)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.bytes)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.unit()?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let field = match fields {
            _ if !self.of_arguments => return self.deserialize_any(visitor),
            [] => {
                self.unit()?;
                None
            }
            [field] => Some((*field, Form { of_arguments: false, ..self })),
            _ => {
                let count = fields.len();
                let why = format!("one protobuf message cannot be {count} arguments; {OTHERWISE}");
                return Err(Error::custom(why));
            }
        };
        visitor.visit_map(MapDeserializer::new(field.into_iter()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string option unit_struct seq tuple tuple_struct map
        enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests;
