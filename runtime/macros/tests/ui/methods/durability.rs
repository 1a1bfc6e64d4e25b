#![allow(unused)]

use greenroom_core::{Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Player;

#[actor_methods(crate = "greenroom_core")]
impl Player {
    #[method(relaxed("50ms"))]
    async fn position(&self) {}

    #[method(relaxed, name = "walk")]
    async fn step(&mut self) {}

    #[method(volatile, durable)]
    async fn look(&mut self) {}

    #[method(volatile = true)]
    async fn blink(&mut self) {}

    #[method(skip, volatile)]
    fn helper(&mut self) {}

    #[method(volatile)]
    fn no_method() {}

    #[method(durable)]
    #[on_activate]
    async fn wake(&mut self, cx: &Cx) -> Result<()> {
        Ok(())
    }
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile)]
struct Ghost;

#[actor_methods(crate = "greenroom_core")]
impl Ghost {
    #[method(durable)]
    async fn haunt(&mut self) {}

    // It is that already.
    #[method(volatile)]
    async fn vanish(&mut self) {}
}

fn main() {}
