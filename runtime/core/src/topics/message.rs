//! What is published, and how it becomes the arguments of a handler: the bytes of the message are put into the map of the
//! arguments as they are, whatever is in them.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use crate::codec::{CodecError, ContentType, Payload};

/// A published message, encoded. Among arguments in JSON it stands as the value that it is, so that a message can be
/// published with JSON by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body(Payload);

impl Body {
    pub(crate) fn new<T: Serialize>(message: &T) -> Result<Self, CodecError> {
        Ok(Self(Payload::encode(ContentType::Msgpack, "the message", message)?))
    }

    /// How much it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.data.len()
    }

    /// The arguments of a handler that takes the message, or the topic and the message.
    pub(crate) fn arguments(&self, names: &[SmolStr], topic: &str) -> Payload {
        let Payload { content_type, data } = &self.0;
        let mut form = Vec::with_capacity(data.len() + topic.len() + 64);
        match content_type {
            ContentType::Msgpack => {
                // A map of so many entries.
                form.push(0x80 | names.len() as u8);
                if let [first, _] = names {
                    append_msgpack(&mut form, first);
                    append_msgpack(&mut form, topic);
                }
                append_msgpack(&mut form, names.last().map_or("", SmolStr::as_str));
                form.extend_from_slice(data);
            }
            ContentType::Json => {
                form.push(b'{');
                if let [first, _] = names {
                    append_json(&mut form, first);
                    form.push(b':');
                    append_json(&mut form, topic);
                    form.push(b',');
                }
                append_json(&mut form, names.last().map_or("", SmolStr::as_str));
                form.push(b':');
                form.extend_from_slice(data);
                form.push(b'}');
            }
            ContentType::Protobuf => unreachable!("a body is made in MessagePack, and read in that or JSON"),
        }
        Payload { content_type: *content_type, data: form.into() }
    }
}

fn append_msgpack(form: &mut Vec<u8>, text: &str) {
    rmp_serde::encode::write(form, text).expect("a text can be encoded into memory");
}

fn append_json(form: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(form, text).expect("a text can be encoded into memory");
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let value: serde_json::Value = self.0.decode("the message").map_err(S::Error::custom)?;
            return value.serialize(serializer);
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let value = serde_json::Value::deserialize(deserializer)?;
            let payload = Payload::encode(ContentType::Json, "the message", &value);
            return payload.map(Self).map_err(D::Error::custom);
        }
        let payload = Payload::deserialize(deserializer)?;
        match payload.content_type {
            ContentType::Protobuf => Err(D::Error::custom("publish a message in MessagePack or JSON")),
            _ => Ok(Self(payload)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        text: String,
        #[serde(default)]
        scores: BTreeMap<u8, i64>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        from: String,
        line: Line,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct One {
        line: Line,
    }

    fn line() -> Line {
        Line { text: "a \"quoted\" word".into(), scores: BTreeMap::from([(1, -2)]) }
    }

    #[test]
    fn a_message_is_an_argument_in_both_content_types() {
        let json: Body = serde_json::from_str(&serde_json::to_string(&line()).unwrap()).unwrap();
        for body in [Body::new(&line()).unwrap(), json] {
            let one = body.arguments(&["line".into()], "chat/a");
            assert_eq!(one.decode::<One>("it").unwrap(), One { line: line() });
            let both = body.arguments(&["from".into(), "line".into()], "chat/\"a\"");
            assert_eq!(both.decode::<Both>("it").unwrap(), Both { from: "chat/\"a\"".into(), line: line() });
            let stored = rmp_serde::to_vec_named(&body).unwrap();
            assert_eq!(rmp_serde::from_slice::<Body>(&stored).unwrap(), body);
        }
    }
}
