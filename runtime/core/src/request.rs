//! What a request carries beside its arguments: a few names with values, and its place in a trace.
//!
//! A caller says it once, and every call that is made from its call carries it, from node to node. **Invariant**: names
//! and values together never take more than [`MAX_BYTES`].

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

/// How many bytes the names and values of a request context may take.
pub const MAX_BYTES: usize = 4096;

/// The context of a request. Cheap to clone; an empty one owns no memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestContext(Option<Arc<Inner>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Inner {
    entries: BTreeMap<String, String>,
    bytes: usize,
    traceparent: Option<Arc<str>>,
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
        /// Version 00 has 55 characters; later ones may add something.
        const LONGEST: usize = 128;
        if !traceparent.is_empty() && traceparent.len() <= LONGEST {
            Arc::make_mut(self.0.get_or_insert_default()).traceparent = Some(traceparent.into());
        }
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
}
