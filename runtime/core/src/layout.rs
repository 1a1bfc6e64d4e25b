//! How the shards of a cluster are divided: the general ones come first, then those of each group of nodes.
//!
//! **Invariant**: the ranges are disjoint, follow one another in the order of the declaration, and cover every shard. Like
//! the number of shards they are fixed when a cluster is created: another division would put actors elsewhere.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use thiserror::Error;

use crate::identity::{Shard, ShardCount};
use crate::map::SHARDS_PER_PAGE;

/// The most shards that a cluster may have, those of its groups included.
pub const MAX_SHARDS: u16 = 16_384;

/// The longest name of a group, in bytes.
pub const MAX_GROUP_NAME_BYTES: usize = 15;

/// A group of nodes: it owns shards that no other node owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardGroup {
    /// Its name, `[a-z]([-a-z0-9]*[a-z0-9])?`.
    pub name: SmolStr,
    /// How many shards it has.
    pub shards: ShardCount,
}

/// Which shards are general, and which belong to which group. A cheap clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardLayout {
    general: ShardCount,
    total: ShardCount,
    groups: Arc<[ShardGroup]>,
}

/// Why shards cannot be divided like this.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// The name is not valid.
    #[error(
        "{0:?} is no name of a group; use 1 to 15 of a-z 0-9 and '-', beginning with a letter and not ending with '-'"
    )]
    Name(SmolStr),
    /// Two groups have one name.
    #[error("there are two groups named {0}; rename one")]
    Twice(SmolStr),
    /// There are too many shards.
    #[error("the cluster and its groups have {0} shards together; a cluster has at most {MAX_SHARDS}")]
    TooMany(u32),
}

/// Shards that follow one another, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardRange {
    start: u16,
    count: ShardCount,
}

/// In which shards the actors of a type are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Home {
    /// In the general ones.
    #[default]
    General,
    /// In those of the group of this name; in the general ones of a cluster that has no such group.
    Group(&'static str),
    /// In all: for internal types of which each shard has an actor.
    EveryShard,
}

impl ShardLayout {
    /// So many general shards, then these groups.
    ///
    /// # Errors
    /// If a name is not valid or there twice, or there are too many shards.
    pub fn new(
        general: ShardCount,
        groups: impl IntoIterator<Item = ShardGroup>,
    ) -> Result<Self, LayoutError> {
        let groups: Arc<[ShardGroup]> = groups.into_iter().collect();
        for (nth, group) in groups.iter().enumerate() {
            if !is_group_name(&group.name) {
                return Err(LayoutError::Name(group.name.clone()));
            }
            if groups[..nth].iter().any(|before| before.name == group.name) {
                return Err(LayoutError::Twice(group.name.clone()));
            }
        }
        let of_groups: u32 = groups.iter().map(|group| u32::from(group.shards.get())).sum();
        let total = u32::from(general.get()) + of_groups;
        if !groups.is_empty() && total > u32::from(MAX_SHARDS) {
            return Err(LayoutError::TooMany(total));
        }
        let total = u16::try_from(total).ok().and_then(ShardCount::new);
        Ok(Self { general, total: total.expect("it is at least the general ones, and small"), groups })
    }

    /// How many shards there are in all.
    pub fn total(&self) -> ShardCount {
        self.total
    }

    /// The groups, in order.
    pub fn groups(&self) -> &[ShardGroup] {
        &self.groups
    }

    /// The general shards.
    pub fn general(&self) -> ShardRange {
        self.general.into()
    }

    /// Every shard.
    pub fn all(&self) -> ShardRange {
        self.total.into()
    }

    /// The shards of a group, if there is one of that name.
    pub fn group(&self, name: &str) -> Option<ShardRange> {
        self.ranges().find(|(group, _)| group.name == name).map(|(_, range)| range)
    }

    /// The group that a shard belongs to; `None` for a general one.
    pub fn group_of(&self, shard: Shard) -> Option<&str> {
        self.ranges().find(|(_, range)| range.contains(shard)).map(|(group, _)| &*group.name)
    }

    /// The shards that the actors of a type are in.
    pub fn home(&self, home: Home) -> ShardRange {
        match home {
            Home::General => self.general(),
            Home::Group(name) => self.group(name).unwrap_or(self.general()),
            Home::EveryShard => self.all(),
        }
    }

    fn ranges(&self) -> impl Iterator<Item = (&ShardGroup, ShardRange)> {
        self.groups.iter().scan(self.general.get(), |start, group| {
            let range = ShardRange { start: *start, count: group.shards };
            *start += group.shards.get();
            Some((group, range))
        })
    }

    /// How many pages a map of these shards has.
    pub fn pages(&self) -> u16 {
        self.total.get().div_ceil(SHARDS_PER_PAGE)
    }
}

impl From<ShardCount> for ShardLayout {
    fn from(general: ShardCount) -> Self {
        Self { general, total: general, groups: Arc::default() }
    }
}

impl From<&Self> for ShardLayout {
    fn from(layout: &Self) -> Self {
        layout.clone()
    }
}

/// `1024`, or `1024 and gpu=64`, as messages show it.
impl fmt::Display for ShardLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.general.get().fmt(f)?;
        self.groups.iter().try_for_each(|group| write!(f, " and {}={}", group.name, group.shards.get()))
    }
}

impl ShardRange {
    /// So many shards from this one on; `None` if there are not so many.
    pub fn new(first: Shard, count: ShardCount) -> Option<Self> {
        first.0.checked_add(count.get()).map(|_| Self { start: first.0, count })
    }

    /// The first of them.
    pub fn first(self) -> Shard {
        Shard(self.start)
    }

    /// The shards, in order.
    pub fn shards(self) -> impl ExactSizeIterator<Item = Shard> + Clone {
        self.numbers().map(Shard)
    }

    /// Their numbers.
    pub fn numbers(self) -> Range<u16> {
        self.start..self.start + self.count.get()
    }

    /// How many there are.
    pub fn count(self) -> ShardCount {
        self.count
    }

    /// Whether the shard is one of them.
    pub fn contains(self, shard: Shard) -> bool {
        self.numbers().contains(&shard.0)
    }

    /// The one that a hash falls into.
    pub(crate) fn of_hash(self, hash: u64) -> Shard {
        Shard(self.start + (hash % u64::from(self.count.get())) as u16)
    }
}

impl From<ShardCount> for ShardRange {
    fn from(count: ShardCount) -> Self {
        Self { start: 0, count }
    }
}

/// Whether a group may have this name: it becomes a part of the names of pods.
pub const fn is_group_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let inner = at > 0 && (bytes[at].is_ascii_digit() || bytes[at] == b'-' && at + 1 < bytes.len());
        if !bytes[at].is_ascii_lowercase() && !inner {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes.len() <= MAX_GROUP_NAME_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::ActorId;

    fn count(shards: u16) -> ShardCount {
        ShardCount::new(shards).unwrap()
    }

    fn group(name: &str, shards: u16) -> ShardGroup {
        ShardGroup { name: name.into(), shards: count(shards) }
    }

    fn layouts() -> impl Strategy<Value = ShardLayout> {
        (1u16..600, prop::collection::vec(1u16..400, 0..4)).prop_map(|(general, groups)| {
            let groups =
                groups.into_iter().enumerate().map(|(nth, shards)| group(&format!("g{nth}"), shards));
            ShardLayout::new(count(general), groups).unwrap()
        })
    }

    proptest! {
        #[test]
        fn each_shard_is_general_or_of_one_group(layout in layouts()) {
            let names: Vec<_> = layout.groups().iter().map(|group| group.name.clone()).collect();
            let ranges = names.iter().map(|name| layout.group(name).unwrap());
            let in_order: Vec<_> = layout.general().shards().chain(ranges.flat_map(ShardRange::shards)).collect();
            prop_assert_eq!(in_order, layout.all().shards().collect::<Vec<_>>());
            for shard in layout.all().shards() {
                let of_general = layout.general().contains(shard);
                prop_assert_eq!(layout.group_of(shard).is_none(), of_general);
                for name in &names {
                    prop_assert_eq!(layout.group_of(shard) == Some(name), layout.group(name).unwrap().contains(shard));
                }
            }
            prop_assert_eq!(layout.pages(), layout.total().pages());
        }

        #[test]
        fn an_actor_is_in_its_home(layout in layouts(), key in "[a-z]{1,8}") {
            let actor: ActorId = format!("Renderer/{key}").parse().unwrap();
            for home in [Home::General, Home::Group("g0"), Home::Group("g3"), Home::EveryShard] {
                let range = layout.home(home);
                prop_assert!(range.contains(actor.shard(range)));
            }
            prop_assert_eq!(layout.home(Home::Group("g0")), layout.group("g0").unwrap_or(layout.general()));
        }
    }

    #[test]
    fn what_cannot_be_divided_is_refused_with_the_way_out() {
        let refused = |groups: &[ShardGroup]| {
            ShardLayout::new(count(1024), groups.iter().cloned()).unwrap_err().to_string()
        };
        for name in ["", "-a", "a-", "Gpu", "7", "7b", "a_b", "abcdefghijklmnop"] {
            assert!(refused(&[group(name, 1)]).contains("; use 1 to 15"), "{name}");
        }
        assert!(refused(&[group("gpu", 1), group("gpu", 2)]).contains("two groups named gpu; rename"));
        assert!(refused(&[group("gpu", 15_361)]).contains("16385 shards together"));
        let largest = ShardLayout::new(count(1024), [group("a", 1), group("gpu-2", 15_359)]).unwrap();
        assert_eq!((largest.total().get(), largest.pages()), (MAX_SHARDS, 64));
        assert_eq!(largest.to_string(), "1024 and a=1 and gpu-2=15359");
    }
}
