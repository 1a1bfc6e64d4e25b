//! The simulated network between nodes: requests are delayed, lost, repeated, cut off in one direction or both.
//!
//! It behaves to the router as the mesh does: a run that is not there is `NotSent`, a request or answer that gets lost
//! is `Lost` after a while, and a caller that stops waiting cancels the call at the other node. Unlike the mesh it may
//! deliver a request twice (assumption A5).

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_cluster::{MeshHandler, MeshReply, MeshRequest, Network, NetworkError, PeerAddress};
use greenroom_core::map::NodeRun;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cluster::{Cluster, Running};
use crate::executor::TaskId;
use crate::settings::Mutation;
use crate::world::World;

/// Which ways are cut: from one node to another.
#[derive(Default)]
pub(crate) struct Cuts(Mutex<BTreeSet<(usize, usize)>>);

impl Cuts {
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.0.lock().insert((from, to));
    }

    pub(crate) fn mend_all(&self) {
        self.0.lock().clear();
    }

    pub(crate) fn mend(&self, from: usize, to: usize) {
        self.0.lock().remove(&(from, to));
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.0.lock().contains(&(from, to))
    }
}

/// The network as one run of a node sees it.
pub(crate) struct NodeNetwork {
    pub(crate) cluster: Weak<Cluster>,
    pub(crate) from: usize,
    pub(crate) run: NodeRun,
}

impl Network for NodeNetwork {
    fn request(
        &self,
        to: &PeerAddress,
        request: MeshRequest,
    ) -> BoxFuture<'static, Result<MeshReply, NetworkError>> {
        let Some(cluster) = self.cluster.upgrade() else {
            return std::future::ready(Err(NetworkError::NotSent("the simulation is over".into()))).boxed();
        };
        let way = Way { from: self.from, to: to.address.parse().unwrap_or(usize::MAX) };
        carry(cluster, way, self.run, to.run, request).boxed()
    }
}

#[derive(Clone, Copy)]
struct Way {
    from: usize,
    to: usize,
}

async fn carry(
    cluster: Arc<Cluster>,
    way: Way,
    sender: NodeRun,
    meant: Option<NodeRun>,
    request: MeshRequest,
) -> Result<MeshReply, NetworkError> {
    let world = cluster.world.clone();
    delay(&world).await;
    let Some(peer) = cluster.running(way.to).filter(|peer| meant.is_none_or(|run| run == peer.run)) else {
        return Err(NetworkError::NotSent(format!("node {} does not run", way.to)));
    };
    let faults = &world.settings.network;
    if cluster.cuts.is_cut(way.from, way.to) || world.fault(faults.lose) {
        return Err(lost(&world, "the request").await);
    }
    if world.fault(faults.duplicate) {
        world.stats.lock().duplicates += 1;
        world.checker.duplicated(request.call.context.id);
        let (peer, again, world) = (peer.clone(), request.clone(), world.clone());
        world.clone().spawn(async move {
            world.sleep(0..500).await;
            let _answer_of_nobody = deliver(&peer, sender, again);
        });
    }
    let (task, answer) = deliver(&peer, sender, request.clone());
    let cancel = Cancel { world: world.clone(), task, armed: true };
    let answer = answer.await;
    cancel.disarm();
    let Ok(answer) = answer else { return Err(lost(&world, "the answer of a node that ended").await) };
    delay(&world).await;
    if cluster.cuts.is_cut(way.to, way.from) || world.fault(faults.lose) {
        return Err(lost(&world, "the answer").await);
    }
    if world.has(Mutation::AnswersOfOthers) {
        return Ok(cluster.mix_up(&request, answer));
    }
    Ok(answer)
}

/// Runs the request as a task of the other node.
fn deliver(peer: &Running, from: NodeRun, request: MeshRequest) -> (TaskId, oneshot::Receiver<MeshReply>) {
    let (report, answer) = oneshot::channel();
    let (world, router) = (peer.world.clone(), peer.router.clone());
    let task = async move {
        let call = request.call.clone();
        let reply = router.handle(&from, request).await;
        if let MeshReply::Reply(outcome) = &reply {
            world.checker.reply_leaves(&call, outcome);
        }
        let _ = report.send(reply);
    };
    (peer.world.executor.spawn(peer.owner, Box::pin(task)).0, answer)
}

async fn delay(world: &World) {
    let late = world.fault(world.settings.network.late);
    let most = if late { 1_500 } else { world.settings.network.delay_ms };
    world.sleep(0..most + 1).await;
}

/// A loss shows when the stream is closed, some time later.
async fn lost(world: &World, what: &str) -> NetworkError {
    world.stats.lock().lost += 1;
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
