//! A node that serves [`Word`]: started by `greenroom dev examples/wordcount/cluster.yaml`, and in a pod.

use greenroom::{Runtime, RuntimeError};
use greenroom_wordcount::Word;

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    Runtime::from_env().actor::<Word>().run().await
}
