#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", pinned("gpu"), local, volatile)]
struct Everywhere;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", stateless, pinned("gpu"))]
struct Workers;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", pinned("GPU_1"))]
struct WrongName;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", pinned)]
struct NoName;

fn main() {}
