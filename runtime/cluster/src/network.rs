//! The border between the router and what carries calls to other nodes: the mesh, or the simulation's network.
//!
//! The types are those of core, not those of the wire, so that the router and its tests know no protobuf.

use std::fmt;

use futures_util::future::BoxFuture;
use greenroom_core::call::{Call, CallResult};
use greenroom_core::map::NodeRun;
use greenroom_core::{Epoch, Shard, StoreId};
use thiserror::Error;

/// Where a call goes: a node by its name, its mesh address and, if known, the run that is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    /// The node's name, e.g. `counters-0`.
    pub name: String,
    /// `host:port` of its mesh.
    pub address: String,
    /// The run that the caller believes to be there; another run refuses. `None`: whoever answers.
    pub run: Option<NodeRun>,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.address)
    }
}

/// A call to another node. Its deadline is the one in the call's context.
#[derive(Debug, Clone)]
pub struct MeshRequest {
    /// The target's shard.
    pub shard: Shard,
    /// The epoch at which the sender believes the receiver to own it.
    pub epoch: Epoch,
    /// The call.
    pub call: Call,
    /// Nobody waits for the reply: it is answered as soon as it is taken, whatever becomes of it.
    pub one_way: bool,
}

/// What the other node answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshReply {
    /// The shard is served there; this came of the call.
    Reply(CallResult),
    /// The shard is not served there: go to the owner, never to an epoch below this one (R7).
    Moved {
        /// The owner's store; `None` if that node knows no owner.
        owner: Option<StoreId>,
        /// The epoch of that ownership; 0 if that node knows none.
        epoch: Epoch,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// The request surely never left; nothing has happened.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request may have been delivered; only a repetition with the same call id can tell.
    #[error("no answer: {0}")]
    Lost(String),
    /// The request is larger than a frame may be. It never left.
    #[error("the call has {bytes} bytes, a frame holds at most {limit}: send less at a time")]
    TooLarge {
        /// How large the call is.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// Carries calls to other nodes.
pub trait Network: Send + Sync + 'static {
    /// Sends the request and waits for its answer, without a limit of its own beyond the call's deadline. Dropping
    /// the future cancels the call at the other node.
    fn request(
        &self,
        to: &PeerAddress,
        request: MeshRequest,
    ) -> BoxFuture<'static, Result<MeshReply, NetworkError>>;

    /// Sends a one-way request; done when it is on its way, which it is at once if there is a link. Requests to one node
    /// arrive in the order in which they were sent.
    fn tell(&self, to: &PeerAddress, request: MeshRequest) -> BoxFuture<'static, Result<(), NetworkError>> {
        let taken = self.request(to, MeshRequest { one_way: true, ..request });
        Box::pin(async move { taken.await.map(drop) })
    }
}

/// Answers calls that come from other nodes.
pub trait MeshHandler: Send + Sync + 'static {
    /// Answers one request of the node `from`. Dropping the future cancels the call. A one-way request is taken before
    /// the future is pending for the first time, so that those of one node are taken in their order.
    fn handle(&self, from: &NodeRun, request: MeshRequest) -> BoxFuture<'static, MeshReply>;
}
