//! A node that serves accounts and transfers: started by `greenroom dev examples/bank/cluster.yaml`, and in a pod.

use greenroom::{Runtime, RuntimeError};
use greenroom_bank::{Account, transfer};

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    Runtime::from_env().actor::<Account>().workflow::<transfer>().run().await
}
