//! Names for the actors of a framework that has none.

use anyhow::{Context, Result};
use foldhash::fast::RandomState;

/// A concurrent map from key to actor.
pub struct Names<A>(papaya::HashMap<String, A, RandomState>);

impl<A> Default for Names<A> {
    fn default() -> Self {
        Self(papaya::HashMap::default())
    }
}

impl<A: Clone + Send + Sync + 'static> Names<A> {
    pub fn insert(&self, key: &str, actor: A) {
        self.0.pin().insert(key.to_owned(), actor);
    }

    pub fn get(&self, key: &str) -> Result<A> {
        self.0.pin().get(key).cloned().with_context(|| format!("there is no {key}"))
    }
}
