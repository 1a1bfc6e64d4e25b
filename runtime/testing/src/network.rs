//! The simulated network: requests are delayed, lost, repeated, cut off in one direction or both.
//!
//! Between nodes it behaves to the router as the mesh does: a run that is not there is `NotSent`, a request or answer
//! that gets lost is `Lost` after a while, and a caller that stops waiting cancels the call at the other node. Unlike the
//! mesh it may deliver a request twice (assumption A5). Clients outside reach the nodes over the same network, but no
//! cut is between them.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_cluster::{MeshHandler, MeshReply, MeshRequest, Network, NetworkError, PeerAddress};
use greenroom_core::CallId;
use greenroom_core::call::{Call, CallResult};
use greenroom_core::map::NodeRun;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::executor::TaskId;
use crate::mutation::Mutation;
use crate::nodes::{Nodes, Running};
use crate::observer::Event;
use crate::world::World;

/// Which ways are cut: from one node to another.
#[derive(Default)]
pub struct Cuts(Mutex<BTreeSet<(usize, usize)>>);

impl Cuts {
    /// Cuts the way `from` one node `to` another.
    pub fn cut(&self, from: usize, to: usize) {
        self.0.lock().insert((from, to));
    }

    /// Opens all ways.
    pub fn mend_all(&self) {
        self.0.lock().clear();
    }

    /// Opens this way.
    pub fn mend(&self, from: usize, to: usize) {
        self.0.lock().remove(&(from, to));
    }

    fn is_cut(&self, way: Way) -> bool {
        way.from.is_some_and(|from| self.0.lock().contains(&(from, way.to)))
    }

    fn is_cut_back(&self, way: Way) -> bool {
        way.from.is_some_and(|from| self.0.lock().contains(&(way.to, from)))
    }
}

/// The network as one run of a node sees it.
pub(crate) struct NodeNetwork {
    pub(crate) nodes: Weak<Nodes>,
    pub(crate) from: usize,
    pub(crate) run: NodeRun,
}

impl Network for NodeNetwork {
    fn request(
        &self,
        to: &PeerAddress,
        request: MeshRequest,
    ) -> BoxFuture<'static, Result<MeshReply, NetworkError>> {
        let Some(nodes) = self.nodes.upgrade() else {
            return std::future::ready(Err(NetworkError::NotSent("the simulation is over".into()))).boxed();
        };
        let way = Way { from: Some(self.from), to: to.address.parse().unwrap_or(usize::MAX) };
        let (sender, meant, id) = (self.run, to.run, request.call.context.id);
        async move {
            let serve = |peer: &Running| answer_mesh(peer, sender, request.clone());
            let answer = carry(&nodes, way, meant, id, serve).await?;
            if nodes.world.has(Mutation::AnswersOfOthers) {
                return Ok(nodes.mix_up(&request, answer));
            }
            Ok(answer)
        }
        .boxed()
    }
}

/// One attempt of a client outside, through the gateway of this node.
pub async fn ask(nodes: &Nodes, number: usize, call: Call) -> Result<CallResult, NetworkError> {
    let id = call.context.id;
    let serve = |peer: &Running| {
        let (world, router, call) = (peer.world.clone(), peer.router.clone(), call.clone());
        async move {
            let outcome = router.call_once(call.clone()).await;
            world.tell(Event::ReplyLeaves(&call, &outcome));
            outcome
        }
        .boxed()
    };
    carry(nodes, Way { from: None, to: number }, None, id, serve).await
}

#[derive(Clone, Copy)]
struct Way {
    /// `None`: from outside.
    from: Option<usize>,
    to: usize,
}

/// Carries a request to a node and its answer back; `serve` makes the answer there.
async fn carry<T: Send + 'static>(
    nodes: &Nodes,
    way: Way,
    meant: Option<NodeRun>,
    id: CallId,
    serve: impl Fn(&Running) -> BoxFuture<'static, T>,
) -> Result<T, NetworkError> {
    let world = &nodes.world;
    delay(world).await;
    let Some(peer) = nodes.running(way.to).filter(|peer| meant.is_none_or(|run| run == peer.run)) else {
        return Err(NetworkError::NotSent(format!("{} does not run", nodes.name(way.to))));
    };
    if nodes.cuts.is_cut(way) || world.fault(world.conditions().network.lose) {
        return Err(lost(world, "the request").await);
    }
    if world.fault(world.conditions().network.duplicate) {
        world.tell(Event::DeliveredTwice(id));
        let again = serve(&peer);
        let (peer, world) = (peer.clone(), world.clone());
        world.clone().spawn(async move {
            world.sleep(0..500).await;
            let _answer_of_nobody = deliver(&peer, again);
        });
    }
    let (task, answer) = deliver(&peer, serve(&peer));
    let cancel = Cancel { world: world.clone(), task, armed: true };
    let answer = answer.await;
    cancel.disarm();
    let Ok(answer) = answer else { return Err(lost(world, "the answer of a node that ended").await) };
    delay(world).await;
    if nodes.cuts.is_cut_back(way) || world.fault(world.conditions().network.lose) {
        return Err(lost(world, "the answer").await);
    }
    Ok(answer)
}

/// Runs the request as a task of the other node.
fn deliver<T: Send + 'static>(
    peer: &Running,
    serving: BoxFuture<'static, T>,
) -> (TaskId, oneshot::Receiver<T>) {
    let (report, answer) = oneshot::channel();
    let task = async move {
        let _ = report.send(serving.await);
    };
    (peer.world.executor.spawn(peer.owner, Box::pin(task)).0, answer)
}

fn answer_mesh(peer: &Running, from: NodeRun, request: MeshRequest) -> BoxFuture<'static, MeshReply> {
    let (world, router) = (peer.world.clone(), peer.router.clone());
    async move {
        let call = request.call.clone();
        let reply = router.handle(&from, request).await;
        if let MeshReply::Reply(outcome) = &reply {
            world.tell(Event::ReplyLeaves(&call, outcome));
        }
        reply
    }
    .boxed()
}

async fn delay(world: &World) {
    let conditions = world.conditions().network;
    let late = world.fault(conditions.late);
    let most = if late { 1_500 } else { conditions.delay_ms };
    world.sleep(0..most.saturating_add(1)).await;
}

/// A loss shows when the stream is closed, some time later.
async fn lost(world: &World, what: &str) -> NetworkError {
    world.tell(Event::Lost);
    world.sleep(50..2_000).await;
    if world.has(Mutation::LostCountsAsNotSent) {
        return NetworkError::NotSent(format!("{what} was lost"));
    }
    NetworkError::Lost(format!("{what} was lost"))
}

/// Cancels the call at the other node, a little later, if its caller stops waiting.
struct Cancel {
    world: Arc<World>,
    task: TaskId,
    armed: bool,
}

impl Cancel {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let (world, task) = (self.world.clone(), self.task);
        self.world.spawn(async move {
            delay(&world).await;
            world.executor.cancel(task);
        });
    }
}
