#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Zone {
    deaths: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Zone {
    #[method(topic = "zone/{key}/died")]
    async fn right(&mut self, topic: String, who: u32) {}

    #[method(topic = "*/died")]
    async fn no_channel(&mut self, who: u32) {}

    #[method(topic = "zone/{key}/{key}")]
    async fn two_keys(&mut self, who: u32) {}

    #[method(topic = "zone/**/died")]
    async fn after_the_rest(&mut self, who: u32) {}

    #[method(topic = "zone//di*d")]
    async fn no_segment(&mut self, who: u32) {}

    #[method(topic = "zone/died")]
    async fn no_message(&mut self) {}

    #[method(topic = "zone/died")]
    async fn no_topic(&mut self, zone: u32, who: u32) {}

    #[method(topic = "zone/died")]
    async fn an_answer(&mut self, who: u32) -> bool {
        true
    }

    #[method(topic = "zone/died", skip)]
    async fn skipped(&mut self, who: u32) {}
}

fn main() {}
