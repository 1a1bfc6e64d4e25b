#![allow(unused)]

use greenroom_core::Cx;
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Counter {
    total: i64,
}

#[actor_methods(crate = "greenroom_core")]
impl Counter {
    async fn by_value(&self, cx: Cx) {}

    async fn mutable(&self, cx: &mut Cx) {}

    async fn twice(&self, cx: &Cx, again: &Cx) {}

    async fn late(&self, by: i64, cx: &Cx) {}

    fn without_actor(cx: &Cx) {}
}

fn main() {}
