#![allow(unused)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Counter {
    total: i64,
}

#[actor_methods(crate = "greenroom_core")]
impl Counter {
    async fn add(&mut self, by: i64) {}

    #[method(name = "add")]
    async fn plus(&mut self, by: i64) {}

    #[method(name = "sub tract")]
    async fn minus(&mut self, by: i64) {}

    async fn zählen(&mut self) {}

    #[method(rename = "x")]
    async fn unknown_option(&mut self) {}

    #[method(name = "y", skip)]
    async fn named_and_skipped(&mut self) {}

    #[method(skip, reentrant)]
    async fn skipped_and_reentrant(&mut self) {}

    #[method(name = "z")]
    fn no_method() {}
}

fn main() {}
