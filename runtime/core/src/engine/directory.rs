//! The directory: which actors are in memory on this node, by identity.
//!
//! Each activation is its own key, so that an identity is in memory once, and on the cache lines that a call needs
//! anyhow. Whoever looks holds no lock; what is taken out meanwhile stays until all who look have gone.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::quality::FixedState;

use super::activation::AnyActivation;
use crate::identity::ActorId;

/// A concurrent set of activations. No two have the same identity.
pub(super) struct Directory(papaya::HashMap<InMemory, (), FixedState>);

/// An activation, equal to others of its identity.
struct InMemory(Arc<dyn AnyActivation>);

impl Borrow<ActorId> for InMemory {
    fn borrow(&self) -> &ActorId {
        self.0.id()
    }
}

impl Hash for InMemory {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl PartialEq for InMemory {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for InMemory {}

impl Directory {
    /// An empty one. The seed is to be one that who chooses keys cannot guess.
    pub(super) fn new(seed: u64) -> Self {
        Self(papaya::HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    /// For looks that belong together: what they see stays in memory as long as this.
    pub(super) fn pin(&self) -> Pinned<'_> {
        Pinned(self.0.pin())
    }

    /// The activation of an actor.
    pub(super) fn get(&self, actor: &ActorId) -> Option<Arc<dyn AnyActivation>> {
        self.pin().get(actor).cloned()
    }

    /// Puts an activation in. False if there is one of its identity.
    pub(super) fn insert(&self, activation: Arc<dyn AnyActivation>) -> bool {
        self.0.pin().try_insert(InMemory(activation), ()).is_ok()
    }

    /// Takes the activation of an actor out, if it is such a one.
    pub(super) fn remove_if(
        &self,
        actor: &ActorId,
        such: impl Fn(&Arc<dyn AnyActivation>) -> bool,
    ) -> Option<Arc<dyn AnyActivation>> {
        let directory = self.0.pin();
        let removed = directory.remove_if(actor, |current, ()| such(&current.0));
        removed.ok().flatten().map(|(removed, ())| removed.0.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&self) {
        self.0.pin().clear();
    }
}

/// A look at the directory.
pub(super) struct Pinned<'a>(papaya::HashMapRef<'a, InMemory, (), FixedState, papaya::LocalGuard<'a>>);

impl Pinned<'_> {
    pub(super) fn get(&self, actor: &ActorId) -> Option<&Arc<dyn AnyActivation>> {
        self.0.get_key_value(actor).map(|(found, ())| &found.0)
    }

    /// All of them, in no order. What comes or goes meanwhile may be seen or not.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<dyn AnyActivation>> {
        self.0.keys().map(|activation| &activation.0)
    }
}
