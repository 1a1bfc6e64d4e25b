//! In which shards the actors of a type are: the general ones of the cluster, or those of a group of nodes.
//!
//! Types that are served here say it themselves, and it is looked up once, when the engine is made: the hot path adds a
//! number to the hash. Of the others the shard map says it, which [`Core::learn_homes`] is told. **Invariant**: a type never
//! gets another home, so it does not matter how old what was learned is; at worst the type is unknown yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use smol_str::SmolStr;

use super::types::Dispatch;
use super::{Core, INTERNAL};
use crate::actor::Actor;
use crate::identity::{ActorId, Shard, ShardCount};
use crate::index::Librarian;
use crate::layout::{Home, ShardLayout, ShardRange};

/// The homes of types that are not served here, by their names.
pub(super) type ForeignHomes = ArcSwap<BTreeMap<SmolStr, ShardRange>>;

impl Core {
    /// How the shards of the cluster are divided.
    pub fn layout(&self) -> &ShardLayout {
        &self.layout
    }

    /// How many shards the cluster has in all.
    pub fn shards(&self) -> ShardCount {
        self.layout.total()
    }

    /// The shard that an actor is in.
    pub fn shard_of(&self, actor: &ActorId) -> Shard {
        actor.shard(self.home_of(actor.actor_type.as_str()))
    }

    /// The shards that the actors of a type are in. The general ones if nothing is known of it: no node of this cluster has
    /// ever served it then.
    pub fn home_of(&self, actor_type: &str) -> ShardRange {
        if self.layout.groups().is_empty() {
            return self.layout.all();
        }
        match self.types.get(actor_type) {
            Some(table) => table.home(),
            None if actor_type == Librarian::TYPE => self.layout.all(),
            None => self.foreign_homes.load().get(actor_type).copied().unwrap_or(self.layout.general()),
        }
    }

    /// The group in which each type lives that this engine serves and that has shards, empty for the general shards: what the
    /// shard map keeps for all times. Nothing if the cluster has no groups.
    pub fn served_homes(&self) -> BTreeMap<String, String> {
        if self.layout.groups().is_empty() {
            return BTreeMap::new();
        }
        let own = self
            .types
            .iter()
            .filter(|(name, table)| table.options().is_sharded() && !name.starts_with(INTERNAL));
        let group = |home: ShardRange| self.layout.group_of(home.first()).unwrap_or_default().to_owned();
        own.map(|(name, table)| ((*name).to_owned(), group(table.home()))).collect()
    }

    /// Takes what the shard map says about where types live.
    pub fn learn_homes(&self, homes: &BTreeMap<String, String>) {
        if homes.len() == self.foreign_homes.load().len() {
            return;
        }
        let home = |group: &str| self.layout.group(group).unwrap_or(self.layout.general());
        let learned = homes.iter().map(|(name, group)| (SmolStr::new(name), home(group))).collect::<Vec<_>>();
        self.foreign_homes.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.extend(learned.iter().cloned());
            known
        });
    }
}

/// Says which types are pinned to a group that the cluster does not have.
pub(super) fn warn_of_missing_groups(
    layout: &ShardLayout,
    types: &BTreeMap<&'static str, Arc<dyn Dispatch>>,
) {
    for (name, table) in types {
        if let Home::Group(group) = table.options().home
            && layout.group(group).is_none()
        {
            tracing::warn!(
                actor_type = name,
                group,
                "the type is pinned to a group that this cluster does not have; it lives among the general nodes"
            );
        }
    }
}
