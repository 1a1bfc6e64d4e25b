//! What the engine tells about itself: activations, types, counts.

use std::collections::BTreeSet;

use super::activation::AnyActivation;
use super::local::is_listed;
use super::{Core, INTERNAL};
use crate::actor::Durability;
use crate::identity::{ActorId, Epoch, Shard};

/// An activation, as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The actor.
    pub actor: ActorId,
    /// Its shard.
    pub shard: Shard,
    /// The epoch at which this node owns the shard.
    pub epoch: Epoch,
    /// When the activation came to be, milliseconds since 1970.
    pub activated_unix_ms: u64,
    /// Calls waiting for a turn.
    pub mailbox: usize,
}

/// An actor type that the engine serves.
#[derive(Debug, Clone)]
pub struct TypeInfo {
    /// Its name.
    pub name: &'static str,
    /// What its commits promise.
    pub durability: Durability,
    /// Its methods, by name.
    pub methods: Vec<MethodInfo>,
    /// How many of its actors are in memory.
    pub activations: u64,
    /// How many calls they have answered.
    pub calls: u64,
    /// How many of those failed, by kind of error.
    pub failed: Vec<KindCount>,
}

/// A kind of error and how often it happened.
pub type KindCount = (&'static str, u64);

/// A method of an actor type.
#[derive(Debug, Clone, Copy)]
pub struct MethodInfo {
    /// The wire name.
    pub name: &'static str,
    /// True for `&mut self`.
    pub exclusive: bool,
    /// What its turns promise; `None` for methods that change nothing.
    pub durability: Option<Durability>,
    /// The names of its arguments.
    pub arguments: &'static [&'static str],
    /// How many calls it has answered.
    pub calls: u64,
    /// How many of those failed.
    pub failed: u64,
}

/// The engine's totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Actors in memory.
    pub activations: u64,
    /// Calls answered.
    pub calls: u64,
    /// Calls answered with an error.
    pub failed: u64,
    /// Shards that are served here.
    pub serving: u64,
    /// Turns that are running or waiting.
    pub running: u64,
}

impl Core {
    /// The types that this engine serves, by name. Of Greenroom's own those that have been used.
    pub fn types(&self) -> Vec<TypeInfo> {
        let shown = |info: &TypeInfo| !info.name.starts_with(INTERNAL) || info.activations + info.calls > 0;
        self.types.values().map(|table| table.info()).filter(shown).collect()
    }

    /// The engine's totals.
    pub fn stats(&self) -> EngineStats {
        let mut stats = EngineStats {
            serving: self.owned.iter().filter(|slot| slot.load().is_some()).count() as u64,
            running: self.turns.running() as u64,
            ..EngineStats::default()
        };
        for info in self.types() {
            stats.activations += info.activations;
            stats.calls += info.calls;
            stats.failed += info.failed.iter().map(|(_, count)| count).sum::<u64>();
        }
        stats
    }

    /// True when the engine takes no calls from outside any more and serves no shard.
    pub fn is_drained(&self) -> bool {
        self.turns.is_draining() && self.owned.iter().all(|slot| slot.load().is_none())
    }

    /// One activation, if the actor is in memory here.
    pub fn placement(&self, actor: &ActorId) -> Option<Placement> {
        let directory = self.directory.pin();
        directory.get(actor).filter(|found| is_listed(&***found)).map(|found| describe(&**found))
    }

    /// The actors of a type in some shards that are in memory here.
    pub(crate) fn in_memory(&self, actor_type: &str, shards: &[Shard]) -> Vec<ActorId> {
        let wanted: BTreeSet<Shard> = shards.iter().copied().collect();
        let directory = self.directory.pin();
        let of_type = directory.iter().filter(|activation| activation.id().actor_type.as_str() == actor_type);
        let mut found: Vec<_> = of_type
            .filter(|activation| !activation.is_gone() && wanted.contains(&activation.shard().shard()))
            .map(|activation| activation.id().clone())
            .collect();
        // In an order that does not depend on the directory's seed.
        found.sort();
        found
    }

    /// One activation by the name of its placement object. Looks at all of them.
    pub fn placement_named(&self, name: &str) -> Option<Placement> {
        let hash = ActorId::placement_hash_of(name)?;
        let directory = self.directory.pin();
        let mut found = directory.iter().filter(|activation| activation.id().placement_hash() == hash);
        found
            .find(|found| found.id().placement_name() == name && is_listed(&***found))
            .map(|found| describe(&**found))
    }
}

pub(super) fn describe(activation: &dyn AnyActivation) -> Placement {
    Placement {
        actor: activation.id().clone(),
        shard: activation.shard().shard(),
        epoch: activation.shard().epoch(),
        activated_unix_ms: activation.activated_unix_ms(),
        mailbox: activation.waiting(),
    }
}
