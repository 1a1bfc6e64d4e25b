//! What goes between a consumer and the owner of the actor: two methods that no actor can have, as every method name of
//! one is an identifier. With JSON all of it is readable, so scripts can pull too.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use bytes::Bytes;

use crate::codec::{CodecError, ContentType, Payload};
use crate::engine::streams::End;
use crate::error::CallError;
use crate::identity::CallId;

/// Asks for items; see [`Pull`].
pub(crate) const NEXT: &str = "@next";
/// Says that nobody wants further items; see [`Close`].
pub(crate) const CLOSE: &str = "@close";

/// The id of a stream: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamId(pub(crate) CallId);

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = u128::from_str_radix(&text, 16);
        id.map(|id| Self(CallId(id)))
            .map_err(|_| de::Error::custom("a stream's id has 32 hexadecimal digits"))
    }
}

/// The reply of a method that answers with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// By what it is pulled.
    pub stream: StreamId,
}

/// The arguments of [`NEXT`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pull {
    pub(crate) stream: StreamId,
    /// The position of the first item that is wanted; everything before it has arrived.
    #[serde(default)]
    pub(crate) from: u64,
    /// At most so many.
    #[serde(default = "default_most")]
    pub(crate) most: u32,
}

fn default_most() -> u32 {
    super::DEFAULT_BATCH_ITEMS as u32
}

/// The arguments of [`CLOSE`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Close {
    pub(crate) stream: StreamId,
}

/// The reply of [`NEXT`]: items and perhaps the end behind them; neither, if nothing has come for a while.
pub(crate) struct Batch {
    /// With their positions.
    pub(crate) items: Vec<(u64, Payload)>,
    pub(crate) end: Option<Ended>,
}

/// How a stream has ended.
pub(crate) struct Ended {
    kind: EndKind,
    message: String,
    error: Option<Payload>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndKind {
    Done,
    App,
    Overloaded,
    Panicked,
    Invalid,
    Unavailable,
}

impl Batch {
    pub(crate) fn of(items: Vec<(u64, Payload)>, end: Option<End>, content_type: ContentType) -> Self {
        Self { items, end: end.map(|end| Ended::of(end, content_type)) }
    }
}

impl Ended {
    fn of(end: End, content_type: ContentType) -> Self {
        let (kind, message, error) = match end {
            End::Done => (EndKind::Done, String::new(), None),
            End::App(error) => match error.encode(content_type) {
                Ok(error) => (EndKind::App, String::new(), Some(error)),
                Err(error) => (EndKind::Invalid, error.to_string(), None),
            },
            End::TooSlow(waiting) => {
                let message = format!(
                    "{waiting} items were waiting when the next one came; ask again from your position, and take items \
                     faster"
                );
                (EndKind::Overloaded, message, None)
            }
            End::Panicked(message) => (EndKind::Panicked, message, None),
            End::Invalid(message) => (EndKind::Invalid, message, None),
            End::Gone(why) => {
                let message = format!("the stream is gone: {why}; ask again from your position");
                (EndKind::Unavailable, message, None)
            }
        };
        Self { kind, message, error }
    }

    /// The error that the consumer gets; `None` at a good end.
    pub(crate) fn error(self) -> Option<CallError<Payload>> {
        let message = self.message;
        match self.kind {
            EndKind::Done => None,
            EndKind::App => Some(CallError::App(self.error.unwrap_or_default())),
            EndKind::Overloaded => Some(CallError::Overloaded(message)),
            EndKind::Panicked => Some(CallError::Panicked(message)),
            EndKind::Invalid => Some(CallError::Invalid(message)),
            EndKind::Unavailable => Some(CallError::Unavailable(message)),
        }
    }
}

/// The form of a batch: items are bytes in MessagePack, and values in JSON.
#[derive(Serialize, Deserialize)]
struct Form<I> {
    items: Vec<ItemForm<I>>,
    end: Option<EndForm<I>>,
}

#[derive(Serialize, Deserialize)]
struct ItemForm<I> {
    at: u64,
    item: I,
}

#[derive(Serialize, Deserialize)]
struct EndForm<I> {
    kind: EndKind,
    message: String,
    error: Option<I>,
}

const WHAT: &str = "the items of a stream";

impl Batch {
    pub(crate) fn encode(self, content_type: ContentType) -> Result<Payload, CodecError> {
        match content_type {
            // Several values are no protobuf message, so that ends with an error that says so.
            ContentType::Msgpack | ContentType::Protobuf => {
                self.encode_as::<Bytes>(content_type, |payload| Ok(payload.data))
            }
            ContentType::Json => {
                self.encode_as::<serde_json::Value>(content_type, |payload| payload.decode(WHAT))
            }
        }
    }

    fn encode_as<I: Serialize>(
        self,
        content_type: ContentType,
        form: impl Fn(Payload) -> Result<I, CodecError>,
    ) -> Result<Payload, CodecError> {
        let item = |(at, item)| Ok(ItemForm { at, item: form(item)? });
        let end = |Ended { kind, message, error }| {
            Ok(EndForm { kind, message, error: error.map(&form).transpose()? })
        };
        let items = self.items.into_iter().map(item).collect::<Result<_, CodecError>>()?;
        let end = self.end.map(end).transpose()?;
        Payload::encode(content_type, WHAT, &Form { items, end })
    }

    pub(crate) fn decode(payload: &Payload) -> Result<Self, CodecError> {
        match payload.content_type {
            ContentType::Msgpack | ContentType::Protobuf => Self::decode_as::<Bytes>(payload, |data| {
                Ok(Payload { content_type: ContentType::Msgpack, data })
            }),
            ContentType::Json => Self::decode_as::<serde_json::Value>(payload, |value| {
                Payload::encode(ContentType::Json, WHAT, &value)
            }),
        }
    }

    fn decode_as<I: DeserializeOwned>(
        payload: &Payload,
        form: impl Fn(I) -> Result<Payload, CodecError>,
    ) -> Result<Self, CodecError> {
        let Form::<I> { items, end } = payload.decode(WHAT)?;
        let item = |ItemForm { at, item }| Ok((at, form(item)?));
        let ended = |EndForm { kind, message, error }| {
            Ok(Ended { kind, message, error: error.map(&form).transpose()? })
        };
        let items = items.into_iter().map(item).collect::<Result<_, CodecError>>()?;
        Ok(Self { items, end: end.map(ended).transpose()? })
    }
}
