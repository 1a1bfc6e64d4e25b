//! A state that is a protobuf message, with an index and methods that take messages.

use greenroom_core::{Proto, Result};
use greenroom_macros::{Actor, actor_methods};

#[derive(Clone, PartialEq, prost::Message, Actor)]
#[actor(crate = "greenroom_core", state = "protobuf", version = 1)]
struct Profile {
    #[index]
    #[prost(string, tag = "1")]
    name: String,
}

#[actor_methods(crate = "greenroom_core")]
impl Profile {
    async fn replace(&mut self, profile: Proto<Profile>) -> Result<Proto<Profile>> {
        *self = profile.0;
        Ok(Proto(self.clone()))
    }

    async fn take(&mut self, other: Self) -> Self {
        std::mem::replace(self, other)
    }
}

#[test]
fn a_state_that_is_a_message_is_written_as_its_bytes() {
    let encoded = serde_json::to_string(&Profile { name: "Ann".into() }).unwrap();
    assert_eq!(encoded, r#""CgNBbm4=""#);
}
