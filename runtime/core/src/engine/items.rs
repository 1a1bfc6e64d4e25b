//! What maps and lists need of the engine.

use super::Core;
use crate::actor::Durability;
use crate::collections::overlay::Overlay;
use crate::identity::ActorId;

impl Core {
    /// The rows of maps and lists that are not durable yet.
    pub(crate) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// What the commits of this actor's type promise.
    pub(crate) fn durability(&self, actor: &ActorId) -> Option<Durability> {
        self.types.get(actor.actor_type.as_str()).map(|table| table.options().durability)
    }
}
