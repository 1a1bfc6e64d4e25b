//! Without `crate = "…"` the generated code names `::greenroom` only: no other import is needed but serde's derives
//! for the state.
#![deny(warnings)]

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

#[test]
fn the_generated_code_names_the_crate_that_users_depend_on() {
    let names = <Counter as greenroom::actor::ActorMethods>::methods();
    assert_eq!(names[0].name(), "add");
}
