//! A node that serves [`Peer`]: started by `greenroom dev examples/ping-ring/cluster.yaml`, and in a pod.

use greenroom::{Runtime, RuntimeError};
use greenroom_ping_ring::Peer;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    Runtime::from_env().actor::<Peer>().run().await
}
