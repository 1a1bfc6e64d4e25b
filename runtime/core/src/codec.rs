//! How arguments, replies and states become bytes: self-describing MessagePack maps, JSON for people and scripts, or one
//! protobuf message.
//!
//! Fields are named, so a type may gain fields with a default and lose fields. The content type travels with the bytes;
//! only the type's own code on the owning node reads or writes them, nothing is transcoded on the way.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::nesting;
use crate::protobuf::content as protobuf;

/// How a payload's bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentType {
    /// MessagePack maps with named fields.
    #[default]
    Msgpack,
    /// JSON.
    Json,
    /// One protobuf message, for methods that take and return one: see [`Proto`](crate::Proto).
    Protobuf,
}

/// Values nest less deep than this, which is JSON's limit too: reading deeper ones would take the thread's whole stack.
const MAX_DEPTH: usize = nesting::LEVELS + 1;

/// Bytes and how to read them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Payload {
    /// How to read `data`.
    pub content_type: ContentType,
    /// The encoded value. Empty stands for "no fields".
    pub data: Bytes,
}

/// Why a value could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The value's own `Serialize` failed.
    #[error("cannot encode {what}: {message}")]
    Encode {
        /// What was to be encoded.
        what: &'static str,
        /// What serde said.
        message: String,
    },
    /// The bytes do not fit the type.
    #[error("cannot decode {what}{}: {message}", field(path))]
    Decode {
        /// What was to be decoded.
        what: &'static str,
        /// Where in the value the trouble is, e.g. `by`; empty if it is the whole.
        path: String,
        /// What serde said.
        message: String,
    },
}

/// Reads a form that the runtime itself has stored: a record, or what stands in a row. Bytes that are none of it are an
/// error, however deep they nest, and also behind the value: a form is one value, and grows by fields within it.
///
/// # Errors
/// If the bytes do not fit the type.
pub fn read_stored<T: DeserializeOwned>(form: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    check_depth(form)?;
    let mut reader = reader(form);
    let value = T::deserialize(&mut reader)?;
    check_end(&mut reader)?;
    Ok(value)
}

/// Fails if something follows the value that has been read.
fn check_end(reader: &mut Reader<'_>) -> Result<(), rmp_serde::decode::Error> {
    /// Whatever begins here; it is left unread.
    struct Anything;

    impl<'de> Deserialize<'de> for Anything {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }

    match Option::<Anything>::deserialize(reader) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(()),
        _ => Err(rmp_serde::decode::Error::Syntax("more bytes follow the value".into())),
    }
}

/// Fails if the value nests too deep. Reading a type counts lists and maps, but not the variants of enums, and these nest
/// as well: so this is asked first of what is long enough to be too deep.
fn check_depth(form: &[u8]) -> Result<(), rmp_serde::decode::Error> {
    match form.len() > nesting::LEVELS && nesting::is_too_deep(form) {
        true => Err(rmp_serde::decode::Error::DepthLimitExceeded),
        false => Ok(()),
    }
}

/// Fails if what was written is too deep to be read again.
pub(crate) fn check_written(form: &[u8]) -> Result<(), rmp_serde::encode::Error> {
    match check_depth(form) {
        Err(rmp_serde::decode::Error::DepthLimitExceeded) => {
            let message = format!(
                "it nests {MAX_DEPTH} levels deep or deeper and could not be read again; keep it in flat parts that \
                 name each other"
            );
            Err(rmp_serde::encode::Error::Syntax(message))
        }
        _ => Ok(()),
    }
}

type Reader<'a> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'a, [u8]>>;

fn reader(form: &[u8]) -> Reader<'_> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(form);
    reader.set_max_depth(MAX_DEPTH);
    reader
}

fn field(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" at `{path}`") }
}

impl Payload {
    /// Encodes a value; `what` names it in an error.
    pub fn encode<T: Serialize + ?Sized>(
        content_type: ContentType,
        what: &'static str,
        value: &T,
    ) -> Result<Self, CodecError> {
        let data = match content_type {
            ContentType::Msgpack => {
                rmp_serde::to_vec_named(value).map(Bytes::from).map_err(|e| e.to_string())
            }
            ContentType::Json => serde_json::to_vec(value).map(Bytes::from).map_err(|e| e.to_string()),
            ContentType::Protobuf => protobuf::encode(value),
        };
        match data {
            Ok(data) => Ok(Self { content_type, data }),
            Err(message) => Err(CodecError::Encode { what, message }),
        }
    }

    /// Encodes a method's error. One that is no message has no form in protobuf, and goes in JSON to whoever called so.
    pub(crate) fn encode_error<T: Serialize>(
        content_type: ContentType,
        error: &T,
    ) -> Result<Self, CodecError> {
        let what = "the error";
        match (content_type, Self::encode(content_type, what, error)) {
            (ContentType::Protobuf, Err(_)) => Self::encode(ContentType::Json, what, error),
            (_, encoded) => encoded,
        }
    }

    /// Decodes a value; `what` names it in an error, which also says which field was wrong.
    pub fn decode<T: DeserializeOwned>(&self, what: &'static str) -> Result<T, CodecError> {
        let fast = match self.content_type {
            ContentType::Msgpack => read_stored(self.fields()).ok(),
            ContentType::Json => serde_json::from_slice(self.fields()).ok(),
            ContentType::Protobuf => T::deserialize(protobuf::reader(&self.data)).ok(),
        };
        fast.map_or_else(|| self.decode_with_path(what), Ok)
    }

    /// The same again, slowly, to learn where it fails.
    fn decode_with_path<T: DeserializeOwned>(&self, what: &'static str) -> Result<T, CodecError> {
        let outcome = match self.content_type {
            ContentType::Msgpack => {
                let shallow = check_depth(self.fields()).map_err(|e| (String::new(), e.to_string()));
                let mut reader = reader(self.fields());
                let value = shallow
                    .and_then(|()| serde_path_to_error::deserialize(&mut reader).map_err(|e| located(&e)));
                value.and_then(|value| match check_end(&mut reader) {
                    Ok(()) => Ok(value),
                    Err(error) => Err((String::new(), error.to_string())),
                })
            }
            ContentType::Json => {
                let mut reader = serde_json::Deserializer::from_slice(self.fields());
                serde_path_to_error::deserialize(&mut reader).map_err(|e| located(&e)).and_then(|value| {
                    reader.end().map(|()| value).map_err(|e| (String::new(), e.to_string()))
                })
            }
            ContentType::Protobuf => {
                serde_path_to_error::deserialize(protobuf::reader(&self.data)).map_err(|e| located(&e))
            }
        };
        outcome.map_err(|(path, message)| CodecError::Decode { what, path, message })
    }

    /// A call without arguments may leave its payload empty.
    fn fields(&self) -> &[u8] {
        match self.content_type {
            ContentType::Msgpack if self.data.is_empty() => &[0x80],
            ContentType::Json if self.data.is_empty() => b"{}",
            _ => &self.data,
        }
    }
}

/// For people: a value with a `message` shows as that message, others as JSON; what is inside of protobuf only its
/// `.proto` tells.
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decode::<serde_json::Value>("a payload") {
            Ok(value) => match value.get("message").and_then(serde_json::Value::as_str) {
                Some(message) => f.write_str(message),
                None => write!(f, "{value}"),
            },
            Err(_) if self.content_type == ContentType::Protobuf => {
                write!(f, "a protobuf message of {} bytes", self.data.len())
            }
            Err(_) => write!(f, "{} bytes that are no {:?}", self.data.len(), self.content_type),
        }
    }
}

fn located<E: fmt::Display>(error: &serde_path_to_error::Error<E>) -> (String, String) {
    let path = error.path().to_string();
    (if path == "." { String::new() } else { path }, error.inner().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Args {
        by: i64,
    }

    #[test]
    fn both_content_types_round_trip() {
        for content_type in [ContentType::Msgpack, ContentType::Json] {
            let payload = Payload::encode(content_type, "arguments", &Args { by: 3 }).unwrap();
            assert_eq!(payload.decode::<Args>("arguments").unwrap(), Args { by: 3 });
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        let payload = Payload { content_type: ContentType::Json, data: r#"{"by":"three"}"#.into() };
        let error = payload.decode::<Args>("arguments").unwrap_err().to_string();
        assert!(error.contains("at `by`"), "{error}");
    }

    #[test]
    fn unknown_fields_are_passed_over_and_garbage_is_refused() {
        let payload = Payload { content_type: ContentType::Json, data: r#"{"by":1,"new":2}"#.into() };
        assert_eq!(payload.decode::<Args>("arguments").unwrap(), Args { by: 1 });
        let payload = Payload { content_type: ContentType::Msgpack, data: Bytes::from_static(&[0xc1, 0xff]) };
        assert!(payload.decode::<Args>("arguments").is_err());
    }

    #[test]
    fn what_follows_a_value_is_refused_and_not_passed_over() {
        for content_type in [ContentType::Msgpack, ContentType::Json] {
            let whole = Payload::encode(content_type, "arguments", &Args { by: 3 }).unwrap();
            // Another value, the beginning of one, nothing in either form, and what begins no MessagePack.
            for more in [&whole.data[..], &[0x91], b"{", &[0xc0], b"null", &[0xc1]] {
                let data: Bytes = [&whole.data[..], more].concat().into();
                let error = Payload { content_type, data }.decode::<Args>("arguments").unwrap_err();
                let CodecError::Decode { what: "arguments", path, message } = error else {
                    panic!("{error}")
                };
                let says = match content_type {
                    ContentType::Json => "trailing characters",
                    _ => "more bytes follow the value",
                };
                assert!(path.is_empty() && message.contains(says), "{more:?}: {message}");
            }
        }
        let stored = rmp_serde::to_vec_named(&Args { by: 3 }).unwrap();
        assert_eq!(read_stored::<Args>(&stored).unwrap(), Args { by: 3 });
        assert!(read_stored::<Args>(&[&stored[..], &[0]].concat()).is_err());
        // Fields that the type does not have are a part of the value, whatever is in them.
        let more = rmp_serde::to_vec_named(&("x", [1.5], b"bytes")).unwrap();
        let fields = [&b"\x83\xa3old"[..], &more, b"\xa2by\x03\xa3ext\xd5\x07ab"].concat();
        assert_eq!(read_stored::<Args>(&fields).unwrap(), Args { by: 3 });
    }

    #[test]
    fn what_nests_too_deep_is_an_error_also_where_only_variants_nest() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        enum Chain {
            End,
            Link(Box<Chain>),
        }
        let chain = |links| (0..links).fold(Chain::End, |chain, _| Chain::Link(Box::new(chain)));
        for content_type in [ContentType::Msgpack, ContentType::Json] {
            let decode =
                |links| Payload::encode(content_type, "it", &chain(links)).unwrap().decode::<Chain>("it");
            assert_eq!(decode(127), Ok(chain(127)));
            assert!(decode(128).unwrap_err().to_string().contains("limit exceeded"));
        }
        let data: Bytes = b"\x81\xa4Link".repeat(1 << 20).into();
        assert!(Payload { content_type: ContentType::Msgpack, data }.decode::<Chain>("it").is_err());
    }

    #[test]
    fn an_empty_payload_has_no_fields() {
        #[derive(Deserialize)]
        struct None {}
        for content_type in [ContentType::Msgpack, ContentType::Json] {
            assert!(Payload { content_type, data: Bytes::new() }.decode::<None>("arguments").is_ok());
        }
    }
}
