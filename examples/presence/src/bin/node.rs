//! A node that serves [`Player`] and [`Friends`]: started by `greenroom dev examples/presence/cluster.yaml`, and in a pod.

use greenroom::{Runtime, RuntimeError};
use greenroom_presence::{Friends, Player};

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    Runtime::from_env().actor::<Player>().actor::<Friends>().run().await
}
