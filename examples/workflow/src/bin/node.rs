//! A node of the shop: started by `greenroom dev examples/workflow/cluster.yaml`, and in a pod.

use greenroom::{Runtime, RuntimeError};
use greenroom_workflow::{Account, Carrier, Stock, order};

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    let runtime = Runtime::from_env().actor::<Account>().actor::<Stock>().actor::<Carrier>();
    runtime.workflow::<order>().run().await
}
