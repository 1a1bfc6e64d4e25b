#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", relaxed)]
struct WithoutTime;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", relaxed = "50ms")]
struct AlsoRight;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", relaxed("soon"), mailbox = 3)]
struct WrongTime;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", relaxed("50ms"), volatile)]
struct Both;

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", relaxed("50ms"), no_rollback)]
struct WithoutRollback;

fn main() {}
