#![allow(unused)]

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

fn main() {}
