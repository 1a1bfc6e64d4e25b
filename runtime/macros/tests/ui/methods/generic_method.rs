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
    async fn generic<T: Serialize>(&mut self, value: T) {}

    async fn sized<const N: usize>(&mut self, values: [u8; N]) {}

    async fn lifetimes_are_fine<'a>(&'a mut self, value: u8) {}
}

fn main() {}
