//! A node of the chat: started by `greenroom dev examples/chat/cluster.yaml`.

use greenroom::{Runtime, RuntimeError};
use greenroom_chat::{Member, Room};

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    Runtime::from_env().actor::<Member>().actor::<Room>().run().await
}
