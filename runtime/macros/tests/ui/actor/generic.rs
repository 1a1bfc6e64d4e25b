#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Cell<T> {
    value: T,
}

#[actor_methods(crate = "greenroom_core")]
impl<T> Cell<T> {
    async fn read(&self) -> bool {
        true
    }
}

fn main() {}
