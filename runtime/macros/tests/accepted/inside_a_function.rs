//! Actors may be local to a function, as in tests, and come out of a `macro_rules!`.
#![deny(warnings)]

use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

macro_rules! register {
    ($actor:ident, $value:ty) => {
        #[derive(Actor, Default, Serialize, Deserialize)]
        #[actor(crate = "greenroom_core")]
        struct $actor {
            value: $value,
        }

        #[actor_methods(crate = "greenroom_core")]
        impl $actor {
            async fn set(&mut self, value: $value) -> Result<$value, String> {
                Ok(std::mem::replace(&mut self.value, value))
            }
        }
    };
}

#[test]
fn actors_of_a_function_have_the_names_of_their_types() {
    register!(Number, u64);
    register!(Text, Vec<String>);
    let names: Vec<_> =
        [<Number as greenroom_core::Actor>::TYPE, <Text as greenroom_core::Actor>::TYPE].into();
    assert_eq!(names, ["Number", "Text"]);
}
