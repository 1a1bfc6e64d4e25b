//! How a simulated client reaches the nodes: each attempt goes to another one, over the simulated network.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_client::{Attempt, Client, Gateways};
use greenroom_core::call::Call;
use greenroom_core::env::SharedEnv;
use greenroom_testing::executor::Owner;
use greenroom_testing::world::NodeEnv;
use greenroom_testing::{Nodes, network};

struct Simulated {
    nodes: Arc<Nodes>,
    /// The only node that is asked; `None`: any.
    through: Option<usize>,
    env: SharedEnv,
}

/// The real client, with a way to the nodes of a simulated cluster.
pub(super) fn client(nodes: &Arc<Nodes>, through: Option<usize>) -> Client {
    let env = NodeEnv { world: nodes.world.clone(), owner: Owner::World, clock_offset_ms: 0 };
    Client::over(Simulated { nodes: nodes.clone(), through, env: Arc::new(env) })
}

impl Gateways for Simulated {
    fn attempt<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Attempt> {
        async move {
            let any = || self.nodes.world.draw(|random| random.usize(..self.nodes.size()));
            let node = self.through.unwrap_or_else(any);
            let (name, trace) = (self.nodes.name(node), &self.nodes.world.trace);
            match network::ask(&self.nodes, node, call.clone()).await {
                Ok(outcome) => {
                    let told = outcome.as_ref().err().map_or("answered".into(), ToString::to_string);
                    trace.add(format!("{}.{} through {name}: {told}", call.target, call.method));
                    Attempt::Answered(outcome)
                }
                Err(error) => {
                    trace.add(format!("{}.{} through {name}: {error}", call.target, call.method));
                    Attempt::NoGateway(format!("{name} does not answer: {error}"))
                }
            }
        }
        .boxed()
    }

    fn env(&self) -> &SharedEnv {
        &self.env
    }
}
