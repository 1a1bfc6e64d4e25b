#![allow(unused)]

use greenroom_core::{Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Room {
    lines: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Room {
    async fn on_line(&mut self, line: String) {}

    async fn count(&mut self, line: String) -> u32 {
        0
    }

    async fn listen(&mut self, cx: &Cx) -> Result<()> {
        cx.topic::<u32>("chat/lobby").subscribe(RoomRef::on_line).await?;
        cx.topic::<String>("chat/lobby").subscribe(RoomRef::count).await?;
        Ok(())
    }
}

fn main() {}
