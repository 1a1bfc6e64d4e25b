#![allow(unused)]

use greenroom_core::{Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Counter {
    total: i64,
}

#[actor_methods(crate = "greenroom_core")]
impl Counter {
    #[on_activate]
    async fn reads(&self, cx: &Cx) -> Result<()> {
        Ok(())
    }

    #[on_activate]
    async fn takes(&mut self, cx: &Cx, by: i64) {}

    #[on_deactivate]
    async fn returns(&mut self) -> Result<i64> {
        Ok(1)
    }

    #[on_deactivate(late)]
    async fn options(&mut self) {}

    #[on_deactivate]
    #[method(name = "bye")]
    async fn named(&mut self) {}

    #[on_deactivate]
    async fn second(&mut self) {}

    #[on_activate]
    #[on_deactivate]
    async fn both(&mut self) {}
}

fn main() {}
