//! The actors of the stock node, enough to look around with: a counter and a map of texts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Actor, Cx, actor_methods};

/// Counts.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct Counter {
    total: i64,
}

#[actor_methods]
impl Counter {
    /// Adds and returns the new total.
    pub async fn add(&mut self, _cx: &Cx, by: i64) -> crate::Result<i64> {
        self.total =
            self.total.checked_add(by).ok_or_else(|| crate::AppError::new("the total would overflow"))?;
        Ok(self.total)
    }

    /// The total.
    pub async fn total(&self) -> i64 {
        self.total
    }
}

/// Holds texts under names.
#[derive(Actor, Default, Serialize, Deserialize)]
pub struct KeyValue {
    entries: BTreeMap<String, String>,
}

#[actor_methods]
impl KeyValue {
    /// Sets a text; returns the one that stood there.
    pub async fn set(&mut self, name: String, value: String) -> Option<String> {
        self.entries.insert(name, value)
    }

    /// The text under this name.
    pub async fn get(&self, name: String) -> Option<String> {
        self.entries.get(&name).cloned()
    }

    /// Removes a text and returns it.
    pub async fn remove(&mut self, name: String) -> Option<String> {
        self.entries.remove(&name)
    }

    /// Every name, in order.
    pub async fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }
}
