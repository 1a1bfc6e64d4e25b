//! What a request carries beside its arguments: a few names with values, and its place in a trace.
//!
//! A caller says it once, and everything that is set in motion from its call carries it, from node to node and also where
//! it is stored in between. **Invariant**: names and values together never take more than [`MAX_BYTES`], and a topic no more
//! than the name of one may.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::topics::{MAX_TOPIC_BYTES, TopicNameError};

/// How many bytes the names and values of a request context may take.
pub const MAX_BYTES: usize = 4096;

/// The longest span that is passed on, in bytes: version 00 has 55, later ones may add something.
pub const MAX_TRACEPARENT_BYTES: usize = 128;

/// The context of a request. Cheap to clone; an empty one owns no memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestContext(Option<Arc<Inner>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Inner {
    entries: BTreeMap<String, String>,
    bytes: usize,
    traceparent: Option<Arc<str>>,
    /// Of a publication on its way to one who listens. It is this delivery's alone: see [`RequestContext::passed_on`].
    topic: Option<Arc<str>>,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    #[serde(default, borrow, skip_serializing_if = "BTreeMap::is_empty")]
    entries: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    topic: Option<Cow<'a, str>>,
}

/// A request context that would take too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the request context would take {0} bytes, at most {MAX_BYTES} are allowed; pass large values as arguments"
)]
pub struct TooLarge(usize);

impl RequestContext {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.entries.get(name).map(String::as_str)
    }

    /// Every name with its value, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.0.iter().flat_map(|inner| &inner.entries);
        entries.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// True if it carries nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Gives a name its value.
    ///
    /// # Errors
    /// If there is no room for it; the context is then as before.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), TooLarge> {
        let (name, value) = (name.into(), value.into());
        let (had, bytes) = self.0.as_ref().map_or((0, 0), |inner| {
            (inner.entries.get(&name).map_or(0, |old| name.len() + old.len()), inner.bytes)
        });
        let bytes = bytes - had + name.len() + value.len();
        if bytes > MAX_BYTES {
            return Err(TooLarge(bytes));
        }
        let inner = Arc::make_mut(self.0.get_or_insert_default());
        inner.entries.insert(name, value);
        inner.bytes = bytes;
        Ok(())
    }

    /// A context of these names and values.
    ///
    /// # Errors
    /// If they take too much.
    pub fn of<K: Into<String>, V: Into<String>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, TooLarge> {
        let mut context = Self::default();
        entries.into_iter().try_for_each(|(name, value)| context.set(name, value))?;
        Ok(context)
    }

    /// The span that the call is made from, as W3C Trace Context writes it.
    pub fn traceparent(&self) -> Option<&str> {
        self.0.as_ref()?.traceparent.as_deref()
    }

    /// Sets the span that calls are made from from now on. What is too long for one is ignored.
    pub fn set_traceparent(&mut self, traceparent: &str) {
        if !traceparent.is_empty() && traceparent.len() <= MAX_TRACEPARENT_BYTES {
            Arc::make_mut(self.0.get_or_insert_default()).traceparent = Some(traceparent.into());
        }
    }

    /// The topic, if this comes with a publication.
    pub fn topic(&self) -> Option<&str> {
        self.0.as_ref()?.topic.as_deref()
    }

    /// Says that this goes with a publication of the topic. An empty name is none.
    ///
    /// # Errors
    /// If the name takes more than [`MAX_TOPIC_BYTES`]; the context is then as before.
    pub fn set_topic(&mut self, topic: &str) -> Result<(), TopicNameError> {
        if topic.len() > MAX_TOPIC_BYTES {
            return Err(TopicNameError::Long(topic.len()));
        }
        if !topic.is_empty() {
            Arc::make_mut(self.0.get_or_insert_default()).topic = Some(topic.into());
        }
        Ok(())
    }

    /// What calls carry that are made from a call with this: all but the topic, which says how this very call came.
    pub(crate) fn passed_on(&self) -> Self {
        let Some(inner) = &self.0 else { return Self(None) };
        if inner.topic.is_none() {
            return self.clone();
        }
        let inner = Inner { topic: None, ..Inner::clone(inner) };
        Self((inner != Inner::default()).then(|| Arc::new(inner)))
    }
}

impl Serialize for RequestContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.entries().map(|(name, value)| (name.into(), value.into())).collect();
        let (traceparent, topic) = (self.traceparent().map(Cow::from), self.topic().map(Cow::from));
        Form { entries, traceparent, topic }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RequestContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Form { entries, traceparent, topic } = Form::deserialize(deserializer)?;
        let mut context = Self::of(entries).map_err(de::Error::custom)?;
        context.set_traceparent(traceparent.as_deref().unwrap_or_default());
        context.set_topic(topic.as_deref().unwrap_or_default()).map_err(de::Error::custom)?;
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_bounded_together() {
        let mut context = RequestContext::default();
        assert!(context.is_empty());
        context.set("tenant", "x".repeat(MAX_BYTES - 6)).unwrap();
        let full = context.clone();
        assert_eq!(context.set("a", ""), Err(TooLarge(MAX_BYTES + 1)));
        assert_eq!(context, full);
        // A new value takes the place of the old one.
        context.set("tenant", "y").unwrap();
        context.set("a", "b").unwrap();
        assert_eq!(context.entries().collect::<Vec<_>>(), [("a", "b"), ("tenant", "y")]);
        assert_eq!((full.get("a"), context.get("a")), (None, Some("b")));
    }

    #[test]
    fn what_is_stored_is_read_again_and_a_topic_is_not_passed_on() {
        let mut context = RequestContext::of([("tenant", "acme")]).unwrap();
        let plain = context.clone();
        context.set_topic("chat/lobby").unwrap();
        assert_eq!((context.passed_on(), plain.passed_on()), (plain.clone(), plain));
        context.set_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let mut of_nobody = RequestContext::default();
        of_nobody.set_topic("chat/lobby").unwrap();
        assert!(of_nobody.passed_on().is_empty());
        for context in [context, of_nobody, RequestContext::default()] {
            let stored = rmp_serde::to_vec_named(&context).unwrap();
            assert_eq!(rmp_serde::from_slice::<RequestContext>(&stored).unwrap(), context);
        }
        for large in [
            serde_json::json!({ "entries": { "x": "y".repeat(5_000) } }),
            serde_json::json!({ "topic": "y".repeat(MAX_TOPIC_BYTES + 1) }),
        ] {
            let stored = rmp_serde::to_vec_named(&large).unwrap();
            assert!(rmp_serde::from_slice::<RequestContext>(&stored).is_err());
        }
    }
}
