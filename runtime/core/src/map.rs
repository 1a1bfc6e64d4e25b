//! The shard map: who owns which shard, at which epoch, and who the members are.
//!
//! The map is kept in pages of 256 shards, each the unit of compare-and-set (trait `Coordination` of the cluster
//! crate). Page 0 also lists the members and, in a cluster with groups, where each type lives. Everything here is plain data; the rules stand in the cluster crate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::{Epoch, Incarnation, Shard, ShardCount, StoreId};
use crate::layout::{ShardGroup, ShardLayout};

/// How many shards a page holds.
pub const SHARDS_PER_PAGE: u16 = 256;

/// One run of a node on its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRun {
    /// The store.
    pub store: StoreId,
    /// Which run on it.
    pub incarnation: Incarnation,
}

/// What is known about the owner of the epoch before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Evidence {
    /// Nothing.
    #[default]
    None,
    /// That run has ended for certain.
    Dead,
}

/// A shard's place in the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The ownership number.
    pub epoch: Epoch,
    /// Who serves the shard.
    pub owner: NodeRun,
    /// The store of the owner of the epoch before.
    pub prev: Option<StoreId>,
    /// The stores that hold every acknowledged commit.
    pub in_sync: Vec<StoreId>,
    /// What is known about the owner of the epoch before.
    #[serde(default)]
    pub evidence: Evidence,
}

/// A store that belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The store.
    pub store: StoreId,
    /// The name of the node that runs on it.
    pub node: String,
    /// The highest incarnation seen. A start that does not exceed it refuses: its volume was set back or cloned.
    pub incarnation: Incarnation,
    /// The group that it belongs to for ever; `None`: a general one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A page of the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The page's number, from 0.
    pub page: u16,
    /// How many shards the cluster has in all.
    pub shards: ShardCount,
    /// The groups of nodes that have shards of their own: the last ones, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ShardGroup>,
    /// The members; on page 0 only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The group in whose shards the actors of a type are, for each type that a member has ever served; empty for those in
    /// the general ones. On page 0 only, and only if there are groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    /// The entries of this page's shards, in order; empty until the first assignment.
    #[serde(default)]
    pub entries: Vec<Entry>,
}

impl Page {
    /// A page as it is created: no members, no entries.
    pub fn empty(page: u16, layout: impl Into<ShardLayout>) -> Self {
        let layout = layout.into();
        let (shards, groups) = (layout.total(), layout.groups().to_vec());
        Self { page, shards, groups, members: Vec::new(), types: BTreeMap::new(), entries: Vec::new() }
    }

    /// Whether this is a page of a map of these shards.
    pub fn is_of(&self, layout: &ShardLayout) -> bool {
        self.shards == layout.total() && self.groups == layout.groups()
    }

    /// The shards that belong on this page.
    pub fn shard_range(&self) -> std::ops::Range<u16> {
        // Nothing belongs on a page that no map has, and the last page of the largest map is not full.
        let start = self.page.saturating_mul(SHARDS_PER_PAGE);
        start..self.shards.get().min(start.saturating_add(SHARDS_PER_PAGE))
    }

    /// The entry of a shard of this page.
    pub fn entry(&self, shard: Shard) -> Option<&Entry> {
        let place = usize::from(shard.0 % SHARDS_PER_PAGE);
        self.entries.get(place).filter(|_| shard.page() == self.page)
    }
}

impl ShardCount {
    /// How many pages a map of so many shards has.
    pub fn pages(self) -> u16 {
        self.get().div_ceil(SHARDS_PER_PAGE)
    }
}

impl Shard {
    /// The page that this shard's entry stands on.
    pub fn page(self) -> u16 {
        self.0 / SHARDS_PER_PAGE
    }
}
