//! The pages of the shard map, as they are created: who they belong to, and no entries.
//!
//! The nodes write the rest. A page is never applied again, and it lives as long as the volumes: only where these go
//! with the ActorCluster does the page, too.

use std::collections::BTreeMap;

use greenroom_crds::{RetentionPolicy, ShardGroup, ShardMap, ShardMapSpec, names};

use super::{Target, labels};
use crate::observed::GroupSeen;

/// How many shards a page holds.
const SHARDS_PER_PAGE: u16 = 256;

/// How many pages a map of so many shards has.
pub(super) fn count(shards: u16) -> u16 {
    shards.div_ceil(SHARDS_PER_PAGE)
}

/// A page. Its annotations tell a later cluster of the same name what the map was made for.
pub(super) fn build(target: Target, page: u16) -> ShardMap {
    let shards = target.spec().total_shards();
    let first = page * SHARDS_PER_PAGE;
    let last = shards.min(first + SHARDS_PER_PAGE) - 1;
    let spec = ShardMapSpec {
        cluster: target.name().to_owned(),
        range: format!("{first}-{last}"),
        page,
        shards,
        groups: target.spec().groups.iter().map(ShardGroup::from).collect(),
        members: Vec::new(),
        types: BTreeMap::new(),
        entries: Vec::new(),
    };
    let mut map = ShardMap::new(&names::shard_map(target.name(), page), spec);
    map.metadata.namespace = Some(target.namespace().to_owned());
    map.metadata.labels = serde_json::from_value(labels::common(target)).ok();
    map.metadata.annotations = Some(BTreeMap::from([
        (names::REPLICAS_ANNOTATION.to_owned(), target.spec().replicas.to_string()),
        (names::SHARDS_ANNOTATION.to_owned(), target.spec().shards.to_string()),
    ]));
    if let (Some(groups), Some(annotations)) =
        (GroupSeen::write(&target.spec().groups), &mut map.metadata.annotations)
    {
        annotations.insert(names::GROUPS_ANNOTATION.to_owned(), groups);
    }
    if target.spec().storage.retention.when_deleted == RetentionPolicy::Delete {
        map.metadata.owner_references = Some(vec![labels::owner(target)]);
    }
    map
}
