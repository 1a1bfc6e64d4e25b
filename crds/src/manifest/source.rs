//! YAML as a tree that knows where each key and value stands.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};

use super::Problem;

/// A place in the text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// `None` for the location of something that is not written, such as the value of `key:`.
    fn of(location: Location) -> Option<Self> {
        let number = |number: u64| usize::try_from(number).ok().filter(|number| *number > 0);
        Some(Self { line: number(location.line())?, column: number(location.column())? })
    }
}

/// A value with its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A field.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) place: Place,
    pub(super) value: Node,
}

/// The documents of a text, without the empty ones.
///
/// Unquoted `yes`, `no`, `on` and `off` are booleans here, because kubectl reads them so.
pub(super) fn read(yaml: &str) -> Result<Vec<Node>, Problem> {
    let documents: Vec<Spanned<Content>> = serde_saphyr::from_multiple(yaml).map_err(|error| {
        let place = error.location().and_then(Place::of).unwrap_or(Place::START);
        Problem::at(place, "", message(&error), "correct the YAML here or in the line above")
    })?;
    Ok(documents.into_iter().map(|document| Node::of(document, Place::START)).collect())
}

/// The parser's message for people who see only their YAML, without the place, which a problem has anyway.
fn message(error: &serde_saphyr::Error) -> String {
    format!("is no valid YAML: {}", UserMessageFormatter.format_message(error.without_snippet()))
}

impl Node {
    fn of(spanned: Spanned<Content>, otherwise: Place) -> Self {
        Self { place: Place::of(spanned.referenced).unwrap_or(otherwise), content: spanned.value }
    }

    /// The entry with this key, if this is a map that has it.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text of a field.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.value.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Where the value of a field stands, given its path from here; if it is not written, the nearest field around it.
    pub(super) fn place_of(&self, path: &str) -> Place {
        let (mut node, mut place) = (self, self.place);
        for segment in path.split(['.', '[']) {
            let next = match (&node.content, segment.strip_suffix(']')) {
                (Content::List(items), Some(index)) => {
                    index.parse().ok().and_then(|index: usize| items.get(index))
                }
                _ => node.entry(segment).map(|entry| &entry.value),
            };
            let Some(next) = next else { break };
            // A map begins with its first key, which is not what is meant: point at the key that it belongs to.
            place = match (&next.content, node.entry(segment)) {
                (Content::Map(_) | Content::List(_), Some(entry)) => entry.place,
                _ => next.place,
            };
            node = next;
        }
        place
    }

    /// The value as JSON. A null field is left out, as an API server does before it fills in defaults.
    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::value).collect(),
            Content::Map(entries) => {
                let written = entries.iter().filter(|entry| !entry.value.is_null());
                written.map(|entry| (entry.key.clone(), entry.value.value())).collect()
            }
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Content>>()? {
            let before = nodes.last().map_or(Place::START, |node: &Node| node.place);
            nodes.push(Node::of(item, before));
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Content, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((key, value)) = fields.next_entry::<Spanned<String>, Spanned<Content>>()? {
            let before = entries.last().map_or(Place::START, |entry| entry.place);
            let place = Place::of(key.referenced).unwrap_or(before);
            entries.push(Entry { key: key.value, place, value: Node::of(value, place) });
        }
        Ok(Content::Map(entries))
    }
}
