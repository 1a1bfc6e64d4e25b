//! What happens in a world, told to whoever counts it or checks it.

use greenroom_cluster::ClusterError;
use greenroom_core::call::{Call, CallResult};
use greenroom_core::journal::Record;
use greenroom_core::map::NodeRun;
use greenroom_core::{ActorId, CallId};

/// Something that happened.
pub enum Event<'a> {
    /// A record of this run is on its disk.
    Durable(NodeRun, &'a Record),
    /// A reply leaves the engine that ran the call.
    ReplyLeaves(&'a Call, &'a CallResult),
    /// The engine asks for an actor while a record of it waits to become durable.
    LoadedTooEarly(&'a ActorId),
    /// The network delivers the request of this call twice.
    DeliveredTwice(CallId),
    /// A request or an answer between nodes got lost.
    Lost,
    /// A node starts.
    Started,
    /// A run of a node ends, whatever for.
    Ended,
    /// A node begins to drain.
    Drains,
    /// A node has drained in the time that it was given, and its run is about to end.
    Drained,
    /// A node stands still from now on.
    Paused,
    /// A node says that it cannot take part.
    CannotGoOn(&'a ClusterError),
    /// So many shards got a new owner or the same one at a new epoch.
    Replaced(usize),
}

/// Is told what happens, at the moment when it does. It must not touch the world.
pub trait Observer: Send + Sync + 'static {
    /// This happened.
    fn happened(&self, event: Event<'_>);
}

/// For worlds that nobody observes.
impl Observer for () {
    fn happened(&self, _event: Event<'_>) {}
}
