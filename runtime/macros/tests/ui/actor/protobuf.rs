#![allow(unused)]

use greenroom_core::Proto;
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

// No such form.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", state = "json")]
struct Cart {
    owner: String,
}

// No message.
#[derive(Default, Actor)]
#[actor(crate = "greenroom_core", state = "protobuf")]
struct Wallet {
    coins: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(string, tag = "1")]
    item: String,
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Shop {
    orders: u64,
}

// A message must be wrapped.
#[actor_methods(crate = "greenroom_core")]
impl Shop {
    async fn order(&mut self, order: Order) {
        self.orders += 1;
    }
}

fn main() {}
