#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Counter {
    total: i64,
}

#[actor_methods(crate = "greenroom_core")]
impl Counter {
    async fn reference(&self, name: &str) {}

    async fn nested(&self, names: Vec<(u8, &str)>) {}

    async fn lifetime(&self, name: std::borrow::Cow<'_, str>) {}

    async fn any(&self, name: impl Into<String>) {}

    async fn reply(&self) -> &i64 {
        &self.total
    }

    async fn result(&self) -> Result<Option<&i64>, String> {
        Ok(None)
    }

    fn iterator(&self) -> impl Iterator<Item = i64> {
        std::iter::empty()
    }
}

fn main() {}
