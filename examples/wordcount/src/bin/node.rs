//! A node that serves [`Word`] and [`Report`]: started by `greenroom dev examples/wordcount/cluster.yaml`, and in a pod.

use greenroom::{Runtime, RuntimeError};
use greenroom_wordcount::{Report, Word};

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    Runtime::from_env().actor::<Word>().actor::<Report>().run().await
}
