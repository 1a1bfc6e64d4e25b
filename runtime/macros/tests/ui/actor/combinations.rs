#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", workers = 3)]
struct NotStateless;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", stateless, volatile)]
struct Both;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", on_panic = "stop")]
struct Unknown;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", on_panic = "backoff", park_after = 3)]
struct NotParked;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", local)]
struct DurableEverywhere;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", stateless, local)]
struct WorkersEverywhere;

fn main() {}
