#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

// No such form.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", state = "json")]
struct Cart {
    owner: String,
}

fn main() {}
