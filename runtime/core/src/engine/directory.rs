//! The directory: which actors are in memory on this node, by identity.
//!
//! Each activation is its own key, so that an identity is in memory once, and on the cache lines that a call needs
//! anyhow. Whoever looks holds no lock; what is taken out meanwhile stays until all who look have gone.
//!
//! A hash is made once for each look, and kept with what is put in: then a table that grows touches no activation, and
//! the names are compared only if the hashes are the same. A call that knows its type looks for the hash alone, and then
//! at the name of the one activation that it finds.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::quality::FixedState;
use papaya::{Equivalent, Guard};

use super::activation::{Activation, AnyActivation};
use crate::actor::{Actor, ActorMethods};
use crate::identity::ActorId;

/// A concurrent set of activations. No two have the same identity.
pub(super) struct Directory {
    activations: papaya::HashMap<InMemory, (), AsItIs>,
    hashes: FixedState,
}

/// An activation, equal to others of its identity.
struct InMemory {
    hash: u64,
    activation: Arc<dyn AnyActivation>,
}

/// An actor that is looked for by its hash alone: whoever finds one looks whether it is the right one.
struct Hashed(u64);

/// An actor that is looked for.
struct Name<'a> {
    hash: u64,
    actor_type: &'a str,
    key: &'a str,
}

impl Hash for InMemory {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for InMemory {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.activation.id() == other.activation.id()
    }
}

impl Eq for InMemory {}

impl Equivalent<InMemory> for Name<'_> {
    fn equivalent(&self, other: &InMemory) -> bool {
        self.hash == other.hash && {
            let id = other.activation.id();
            id.actor_type.as_str() == self.actor_type && id.key == self.key
        }
    }
}

impl Equivalent<InMemory> for Hashed {
    fn equivalent(&self, other: &InMemory) -> bool {
        self.0 == other.hash
    }
}

/// Takes the hash that keys bring along.
#[derive(Default, Clone, Copy)]
struct AsItIs(u64);

impl BuildHasher for AsItIs {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys of the directory are numbers to their hasher");
    }
}

/// What stands for a type's name in hashes (FNV-1a): of a type that the program knows it is a constant.
const fn mark(actor_type: &str) -> u64 {
    let (name, mut mark, mut at) = (actor_type.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while at < name.len() {
        mark = (mark ^ name[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    mark
}

fn hash(hashes: &FixedState, mark: u64, key: &str) -> u64 {
    let mut hasher = hashes.build_hasher();
    hasher.write_u64(mark);
    hasher.write(key.as_bytes());
    hasher.finish()
}

impl<'a> Name<'a> {
    fn of(hashes: &FixedState, actor: &'a ActorId) -> Self {
        let (actor_type, key) = (actor.actor_type.as_str(), actor.key.as_str());
        Self { hash: hash(hashes, mark(actor_type), key), actor_type, key }
    }
}

impl Directory {
    /// An empty one. The seed is to be one that who chooses keys cannot guess.
    pub(super) fn new(seed: u64) -> Self {
        let activations = papaya::HashMap::with_hasher(AsItIs::default());
        Self { activations, hashes: FixedState::with_seed(seed) }
    }

    /// For looks that belong together: what they see stays in memory as long as this.
    #[inline]
    pub(super) fn pin(&self) -> Pinned<'_> {
        Pinned { activations: self.activations.pin(), hashes: &self.hashes }
    }

    /// The activation of an actor.
    pub(super) fn get(&self, actor: &ActorId) -> Option<Arc<dyn AnyActivation>> {
        self.pin().get(actor).cloned()
    }

    /// Puts an activation in. False if there is one of its identity.
    pub(super) fn insert(&self, activation: Arc<dyn AnyActivation>) -> bool {
        let hash = Name::of(&self.hashes, activation.id()).hash;
        self.activations.pin().try_insert(InMemory { hash, activation }, ()).is_ok()
    }

    /// Takes the activation of an actor out, if it is such a one.
    pub(super) fn remove_if(
        &self,
        actor: &ActorId,
        such: impl Fn(&Arc<dyn AnyActivation>) -> bool,
    ) -> Option<Arc<dyn AnyActivation>> {
        let activations = self.activations.pin();
        let name = Name::of(&self.hashes, actor);
        let removed = activations.remove_if(&name, |current, ()| such(&current.activation));
        removed.ok().flatten().map(|(removed, ())| removed.activation.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.activations.len()
    }

    /// Takes all out, for an engine that ends. What the map has put off to drop would else be kept in memory for ever: it
    /// holds activations, these hold the engine, and that holds the map.
    pub(super) fn clear(&self) {
        let guard = self.activations.guard();
        self.activations.clear(&guard);
        guard.flush();
    }
}

/// An activation of a type that the program knows.
pub(super) struct Found<'a, A: Actor> {
    pub(super) activation: &'a Activation<A>,
    shared: &'a Arc<dyn AnyActivation>,
}

impl<'a, A: Actor> Found<'a, A> {
    /// `None` if it is of another type.
    pub(super) fn new(shared: &'a Arc<dyn AnyActivation>) -> Option<Self> {
        Some(Self { activation: shared.typed()?, shared })
    }

    /// A reference of one's own.
    pub(super) fn own(&self) -> Arc<Activation<A>> {
        self.shared.clone().into_typed().expect("it has been seen to be of this type")
    }
}

/// A look at the directory.
pub(super) struct Pinned<'a> {
    activations: papaya::HashMapRef<'a, InMemory, (), AsItIs, papaya::LocalGuard<'a>>,
    hashes: &'a FixedState,
}

impl Pinned<'_> {
    pub(super) fn get(&self, actor: &ActorId) -> Option<&Arc<dyn AnyActivation>> {
        self.find(&Name::of(self.hashes, actor))
    }

    /// The same for a type that the program knows: quicker, and once in a very long while it overlooks an actor, because
    /// another one has its hash.
    pub(super) fn glance<A: ActorMethods>(&self, key: &str) -> Option<Found<'_, A>> {
        let hash = hash(self.hashes, const { mark(A::TYPE) }, key);
        Found::new(self.find(&Hashed(hash))?).filter(|found| found.activation.id().key == key)
    }

    fn find(&self, name: &(impl Hash + Equivalent<InMemory>)) -> Option<&Arc<dyn AnyActivation>> {
        self.activations.get_key_value(name).map(|(found, ())| &found.activation)
    }

    /// All of them, in no order. What comes or goes meanwhile may be seen or not.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<dyn AnyActivation>> {
        self.activations.keys().map(|found| &found.activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_keys_are_told_apart() {
        let hashes = FixedState::with_seed(7);
        let hash = |text: &str| Name::of(&hashes, &text.parse().expect("an actor")).hash;
        let all = ["A/1", "A/2", "B/1", "A1/1", "A/11", "AB/1"].map(hash);
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one), "{i}");
        }
        assert_eq!(hash("A/1"), Name::of(&hashes, &"A/1".parse().expect("an actor")).hash);
    }
}
