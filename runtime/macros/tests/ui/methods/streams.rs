use greenroom_core::{Cx, Items, ReplyStream, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Room {
    lines: Vec<String>,
}

#[actor_methods(crate = "greenroom_core")]
impl Room {
    async fn the_consumers_end(&self, _cx: &Cx) -> Result<ReplyStream<String>> {
        todo!()
    }

    async fn two_at_once(&self, _cx: &Cx) -> Result<(u32, Items<String>)> {
        todo!()
    }

    async fn many(&self, _cx: &Cx) -> Vec<Items<String>> {
        todo!()
    }

    async fn passed_on(&self, _lines: Option<Items<String>>) {}

    async fn borrowed(&self, _cx: &Cx) -> Result<Items<&str>> {
        todo!()
    }
}

fn main() {}
