//! Without `crate = "…"` the generated code names `::greenroom` only: no other import is needed but serde's derives
//! for the state.
#![deny(warnings)]
extern crate greenroom_core as greenroom;

use serde::{Deserialize, Serialize};

#[derive(greenroom_macros::Actor, Default, Serialize, Deserialize)]
struct Counter {
    total: i64,
}

#[greenroom_macros::actor_methods]
impl Counter {
    async fn add(&mut self, _: &greenroom::Cx, by: i64) -> greenroom::Result<i64> {
        self.total += by;
        Ok(self.total)
    }
}

fn main() {
    let names = <Counter as greenroom::actor::ActorMethods>::methods();
    assert_eq!(names[0].name(), "add");
}
