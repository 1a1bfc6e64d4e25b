//! The groups of nodes, as settings: `gpu=64x1,disk=128x2` in flags and environment, a list in a file.
//!
//! A group is declared on all nodes alike, whether they belong to it or not: each has to know which shards are whose.

use std::str::FromStr;

use greenroom_core::{ShardCount, ShardGroup, ShardLayout};
use serde::{Deserialize, Serialize};

/// A group of nodes with shards of its own, for types that are pinned to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeGroup {
    /// Its name, at most 15 of a-z 0-9 and `-`.
    pub name: String,
    /// How many shards it has; fixed when the cluster is created.
    #[serde(default = "default_shards")]
    pub shards: ShardCount,
    /// How many nodes the first assignment of its shards waits for.
    #[serde(default = "default_replicas")]
    pub replicas: u32,
}

/// All groups of a cluster, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeGroups(pub Vec<NodeGroup>);

fn default_shards() -> ShardCount {
    ShardCount::new(64).expect("64 is not zero")
}

fn default_replicas() -> u32 {
    1
}

impl NodeGroups {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The division of the shards, with so many general ones. The error says what to do.
    pub(crate) fn layout(&self, general: ShardCount) -> Result<ShardLayout, String> {
        let group = |group: &NodeGroup| ShardGroup { name: group.name.as_str().into(), shards: group.shards };
        ShardLayout::new(general, self.0.iter().map(group)).map_err(|error| error.to_string())
    }

    /// The form of flags and environment, which [`FromStr`] reads.
    pub fn to_setting(&self) -> String {
        let group = |group: &NodeGroup| format!("{}={}x{}", group.name, group.shards.get(), group.replicas);
        self.0.iter().map(group).collect::<Vec<_>>().join(",")
    }
}

impl FromStr for NodeGroups {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let group = |part: &str| {
            let (name, numbers) = part.trim().split_once('=')?;
            let (shards, replicas) = numbers.split_once('x')?;
            let shards = ShardCount::new(shards.parse().ok()?)?;
            Some(NodeGroup { name: name.to_owned(), shards, replicas: replicas.parse().ok()? })
        };
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let groups = parts.map(|part| {
            group(part)
                .ok_or_else(|| format!("{part:?} is no group; write NAME=SHARDSxNODES, for example gpu=64x1"))
        });
        groups.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let groups: NodeGroups = "gpu=64x1,disk=128x2".parse().unwrap();
        let file = "- name: gpu\n- {name: disk, shards: 128, replicas: 2}\n";
        assert_eq!(groups, serde_saphyr::from_str::<NodeGroups>(file).unwrap());
        assert_eq!(groups.to_setting(), "gpu=64x1,disk=128x2");
        assert_eq!("".parse(), Ok(NodeGroups::default()));
        let layout = groups.layout(ShardCount::DEFAULT).unwrap();
        assert_eq!(layout.to_string(), "1024 and gpu=64 and disk=128");
    }

    #[test]
    fn what_is_no_group_is_refused_with_an_example() {
        for text in ["gpu", "gpu=64", "gpu=0x1", "gpu=64x-1", "gpu=64x1,,disk"] {
            let error = text.parse::<NodeGroups>().unwrap_err();
            assert!(error.ends_with("for example gpu=64x1"), "{error}");
        }
    }
}
