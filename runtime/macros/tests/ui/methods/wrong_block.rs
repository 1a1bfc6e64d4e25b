#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Counter {
    total: i64,
}

#[actor_methods(crate = "greenroom_core")]
impl Clone for Counter {
    fn clone(&self) -> Self {
        Self { total: self.total }
    }
}

#[actor_methods]
struct Other;

#[actor_methods(crate = "greenroom_core", name = "x")]
impl Counter {}

fn main() {}
