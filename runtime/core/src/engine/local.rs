//! Local types: every node has its own activation of each key, and it stays there.
//!
//! Such an actor is an ordinary activation in the directory: turn lock, mailbox, hooks, timers, idle time-out. Only its
//! place is another, the shard that stands for none (see `nowhere`), so a call runs on the node where it is made. Two
//! things follow from there being as many actors of one name as there are nodes:
//! - Listings leave them out: a placement answers where *the* actor is.
//! - A call chain names actors, not nodes. That a chain from another node holds this name says nothing about the actor
//!   here, so what comes in is freed of such frames. A cycle within a node is still found at once; one that comes back
//!   over another node is found by a probe, as cycles of independent calls are: a probe goes the way of the calls, and
//!   those to a local actor stay on their node.

use super::Core;
use super::activation::AnyActivation;
use crate::call::Chain;
use crate::identity::ActorId;

/// Whether listings show an activation.
pub(super) fn is_listed(activation: &dyn AnyActivation) -> bool {
    !activation.table().options().local
}

impl Core {
    /// Takes the frames out of a chain from elsewhere that may be of another node's actors.
    pub(super) fn forget_local_frames(&self, chain: &mut Chain) {
        if self.nowhere.is_none() || !chain.frames().any(|frame| self.is_local(&frame.actor)) {
            return;
        }
        let mut frames: Vec<_> =
            chain.frames().filter(|frame| !self.is_local(&frame.actor)).cloned().collect();
        frames.reverse();
        *chain = Chain::from_outermost(frames);
    }

    /// Whether every node has its own actor of this name.
    pub(super) fn is_local(&self, actor: &ActorId) -> bool {
        let table = self.types.get(actor.actor_type.as_str());
        table.is_some_and(|table| table.options().local)
    }
}
