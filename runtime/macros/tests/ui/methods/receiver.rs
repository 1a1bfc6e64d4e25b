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
    async fn by_value(self) -> i64 {
        self.total
    }

    async fn boxed(self: Box<Self>) -> i64 {
        self.total
    }

    async fn no_receiver(by: i64) -> i64 {
        by
    }

    async fn fine(&self) -> i64 {
        self.total
    }
}

async fn use_it(counter: CounterRef) -> i64 {
    counter.fine().await.unwrap()
}

fn main() {}
