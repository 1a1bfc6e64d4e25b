//! A node that serves [`Cell`]: started by `greenroom dev examples/ticking/cluster.yaml`, and in a pod.

use greenroom::{Runtime, RuntimeError};
use greenroom_ticking::Cell;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    Runtime::from_env().actor::<Cell>().run().await
}
