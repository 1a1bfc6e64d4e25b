//! Brings a call to the owner of its shard: this node's engine, or the node that the map names, over the mesh.
//!
//! - An owner that answers `Moved{owner, epoch}` is followed once, directly, and never to an epoch below one that was
//!   told (R7). A second `Moved` is `Unavailable`: by the next attempt this node's map has caught up.
//! - A shard that this node owns but has not opened yet makes its calls wait here, a bounded number of them, within
//!   their deadlines.
//! - `Unavailable` is repeated with back-off until the deadline, with the same call id, so that the call is applied
//!   once. [`Router::call`] does that for programs and turns of this node; [`Router::call_once`] makes one attempt, for
//!   the gateway, whose clients repeat themselves.
//! - A timeout says that the turn surely did not happen only if the call never left this node.

mod messages;
mod opening;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::call::{Call, CallResult};
use greenroom_core::engine::{Delivery, Engine};
use greenroom_core::env::SharedEnv;
use greenroom_core::lanes::Lanes;
use greenroom_core::map::NodeRun;
use greenroom_core::retry::Backoff;
use greenroom_core::transport::Transport;
use greenroom_core::{ActorId, CallError, Epoch, Payload, Shard, ShardRange, StoreId};
use tokio::time::timeout_at;

use crate::driver::{Driver, Node};
use crate::map::View;
use crate::network::{MeshHandler, MeshReply, MeshRequest, Network, NetworkError, PeerAddress};

pub use opening::MAX_WAITING_CALLS;

/// Brings calls to the owner of their shard. One per node.
pub struct Router(Arc<Routing>);

/// What the router's futures share.
struct Routing {
    node: Arc<Node>,
    network: Arc<dyn Network>,
    waiting: AtomicUsize,
    /// Messages that wait for their turn to leave.
    lanes: Arc<Lanes>,
}

/// How one attempt ended without an answer of the owner.
#[derive(Debug)]
struct NoAnswer {
    error: CallError<Payload>,
    /// True if the owner may have got the call.
    left: bool,
}

/// Where a call goes by this node's map.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Here,
    Peer(PeerAddress, Epoch),
    Nowhere(String),
}

impl Router {
    /// The router of this driver's node. Turns of its engine call through it from now on.
    pub fn new(driver: &Driver, network: Arc<dyn Network>) -> Arc<Self> {
        let node = driver.node().clone();
        let engine = node.config.engine.clone();
        let lanes = Lanes::new(node.config.env.clone());
        let router = Arc::new(Self(Arc::new(Routing { node, network, waiting: AtomicUsize::new(0), lanes })));
        let transport: Arc<dyn Transport> = router.clone();
        engine.set_transport(Arc::downgrade(&transport));
        router
    }

    /// One attempt, with one redirect, within the call's deadline. `Unavailable` is for the caller to repeat.
    pub async fn call_once(&self, call: Call) -> CallResult {
        self.0.attempt(call, &mut Epoch(0)).await.unwrap_or_else(|none| Err(none.error))
    }
}

impl Transport for Router {
    fn call(&self, call: Call) -> BoxFuture<'static, CallResult> {
        let routing = self.0.clone();
        async move { routing.call_until_deadline(call).await }.boxed()
    }

    fn tell(&self, call: Call) {
        self.0.tell(call, Epoch(0));
    }

    fn engine(&self) -> Option<&Arc<Engine>> {
        Some(self.0.engine())
    }

    fn owners(&self, shards: ShardRange) -> Vec<Option<String>> {
        let view = self.0.node.map.view();
        let owner = |shard| view.entry(shard).map(|entry| entry.owner.store.to_string());
        shards.shards().map(owner).collect()
    }

    fn env(&self) -> &SharedEnv {
        &self.0.node.config.env
    }
}

impl MeshHandler for Router {
    fn handle(&self, _from: &NodeRun, request: MeshRequest) -> BoxFuture<'static, MeshReply> {
        let routing = self.0.clone();
        if request.one_way {
            routing.take(request);
            return std::future::ready(MeshReply::Reply(Ok(Payload::default()))).boxed();
        }
        async move { routing.answer(request).await }.boxed()
    }
}

impl Routing {
    fn engine(&self) -> &Arc<Engine> {
        &self.node.config.engine
    }

    fn me(&self) -> NodeRun {
        self.node.config.run
    }

    /// Attempts until there is another answer than `Unavailable`, or the deadline has passed.
    async fn call_until_deadline(&self, call: Call) -> CallResult {
        let deadline = call.context.deadline;
        let (mut backoff, mut floor, mut left) = (Backoff::default(), Epoch(0), false);
        loop {
            let outcome = match self.attempt(call.clone(), &mut floor).await {
                Ok(outcome) => outcome,
                Err(none) => {
                    left |= none.left;
                    Err(none.error)
                }
            };
            match outcome {
                Err(CallError::Unavailable(_)) => {}
                // What this attempt knows does not hold for the earlier ones.
                Err(CallError::Timeout { committed: Some(false) }) if left => return Err(timed_out(true)),
                outcome => return outcome,
            }
            let again = self.node.config.env.now() + backoff.next(self.node.config.env.random() as u64);
            if again >= deadline {
                tokio::time::sleep_until(deadline).await;
                return Err(timed_out(left));
            }
            tokio::time::sleep_until(again).await;
        }
    }

    /// Brings the call to its owner once. `floor` is the highest epoch that was told for this shard.
    async fn attempt(&self, call: Call, floor: &mut Epoch) -> Result<CallResult, NoAnswer> {
        let call = match self.engine().deliver(call) {
            Delivery::Here(outcome) => return here(outcome.await),
            Delivery::NotServed(call) => call,
        };
        let shard = self.engine().shard_of(&call.target);
        let (to, epoch) = match self.route(&self.node.map.view(), shard) {
            Route::Here => return self.deliver_when_open(call, shard).await,
            Route::Nowhere(why) => return Err(unavailable(why)),
            Route::Peer(to, epoch) => (to, epoch),
        };
        if epoch < *floor {
            return Err(unavailable(format!(
                "this node's map has not reached epoch {floor} of shard {shard} yet"
            )));
        }
        *floor = epoch;
        match self.send(&to, shard, epoch, call.clone()).await? {
            MeshReply::Reply(outcome) => Ok(outcome),
            MeshReply::Moved { owner: Some(owner), epoch } if epoch >= *floor => {
                *floor = epoch;
                self.follow(call, shard, owner, epoch).await
            }
            MeshReply::Moved { .. } => {
                Err(unavailable(format!("{to} does not know yet who owns shard {shard}")))
            }
        }
    }

    /// Goes where a `Moved` points, once.
    async fn follow(
        &self,
        call: Call,
        shard: Shard,
        owner: StoreId,
        epoch: Epoch,
    ) -> Result<CallResult, NoAnswer> {
        if owner == self.me().store {
            self.catch_up(shard, epoch, call.context.deadline).await;
            return self.deliver_when_open(call, shard).await;
        }
        let to = self.address(&self.node.map.view(), owner, None).map_err(unavailable)?;
        match self.send(&to, shard, epoch, call).await? {
            MeshReply::Reply(outcome) => Ok(outcome),
            MeshReply::Moved { .. } => Err(unavailable(format!("shard {shard} is moving"))),
        }
    }

    async fn send(
        &self,
        to: &PeerAddress,
        shard: Shard,
        epoch: Epoch,
        call: Call,
    ) -> Result<MeshReply, NoAnswer> {
        let deadline = call.context.deadline;
        let answer = self.network.request(to, MeshRequest { shard, epoch, call, one_way: false });
        match timeout_at(deadline, answer).await {
            Ok(Ok(MeshReply::Reply(outcome))) => here(outcome).map(MeshReply::Reply),
            Ok(Ok(moved @ MeshReply::Moved { .. })) => Ok(moved),
            Ok(Err(NetworkError::NotSent(why))) => Err(unavailable(why)),
            Ok(Err(NetworkError::Lost(why))) => {
                Err(NoAnswer { left: true, ..unavailable(format!("{to} did not answer: {why}")) })
            }
            Ok(Err(error @ NetworkError::TooLarge { .. })) => {
                Err(NoAnswer { error: CallError::Invalid(error.to_string()), left: false })
            }
            Err(_) => Err(NoAnswer { error: timed_out(true), left: true }),
        }
    }

    fn route(&self, view: &View, shard: Shard) -> Route {
        match view.entry(shard) {
            None => Route::Nowhere(format!("shard {shard} has no owner yet: the cluster is starting")),
            Some(entry) if entry.owner.store == self.me().store => Route::Here,
            Some(entry) => match self.address(view, entry.owner.store, Some(entry.owner)) {
                Ok(to) => Route::Peer(to, entry.epoch),
                Err(why) => Route::Nowhere(why),
            },
        }
    }

    fn address(&self, view: &View, store: StoreId, run: Option<NodeRun>) -> Result<PeerAddress, String> {
        let Some(member) = view.member(store) else {
            return Err(format!("store {store} is not in this node's list of members"));
        };
        let peers = self.node.peers.get();
        let Some(peer) = peers.get(&member.node) else {
            return Err(format!("node {} is not running", member.node));
        };
        Ok(PeerAddress { name: peer.name.clone(), address: peer.mesh_address.clone(), run })
    }

    async fn answer(&self, request: MeshRequest) -> MeshReply {
        let MeshRequest { shard, epoch, call, .. } = request;
        let mine = self.engine().shard_of(&call.target);
        if mine != shard {
            return MeshReply::Reply(Err(self.in_another_shard(&call.target, mine, shard)));
        }
        if self.node.map.view().entry(shard).is_none_or(|entry| entry.epoch < epoch) {
            self.catch_up(shard, epoch, call.context.deadline).await;
        }
        let call = match self.engine().deliver(call) {
            Delivery::Here(outcome) => return MeshReply::Reply(outcome.await),
            Delivery::NotServed(call) => call,
        };
        let view = self.node.map.view();
        if self.is_mine(&view, shard) {
            let outcome = self.deliver_when_open(call, shard).await;
            return MeshReply::Reply(outcome.unwrap_or_else(|none| Err(none.error)));
        }
        match view.entry(shard) {
            Some(entry) => MeshReply::Moved { owner: Some(entry.owner.store), epoch: entry.epoch },
            None => MeshReply::Moved { owner: None, epoch: Epoch(0) },
        }
    }
}

impl Routing {
    /// Why a call is not answered whose caller believes its target to be in another shard than this node.
    fn in_another_shard(&self, target: &ActorId, mine: Shard, theirs: Shard) -> CallError<Payload> {
        let layout = self.engine().layout();
        if layout.group_of(mine) != layout.group_of(theirs) {
            // A type has just been registered and one of the two maps does not show it yet.
            return CallError::Unavailable(format!(
                "the caller of {target} and this node do not agree yet where it lives"
            ));
        }
        CallError::Invalid(format!(
            "{target} is in shard {mine} here, {theirs} at its caller: they count shards differently"
        ))
    }
}

/// An outcome, unless it is one that the next attempt may better. The engine cannot always know whether the turn of
/// an unavailable shard was committed.
fn here(outcome: CallResult) -> Result<CallResult, NoAnswer> {
    match outcome {
        Err(error @ CallError::Unavailable(_)) => Err(NoAnswer { error, left: true }),
        outcome => Ok(outcome),
    }
}

fn unavailable(why: String) -> NoAnswer {
    NoAnswer { error: CallError::Unavailable(why), left: false }
}

fn timed_out(left: bool) -> CallError<Payload> {
    CallError::Timeout { committed: if left { None } else { Some(false) } }
}
