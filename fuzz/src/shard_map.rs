//! Pages of the shard map, from Kubernetes or from the parent of `greenroom dev`.

use greenroom_core::map::{Entry, Evidence, Member, NodeRun, Page, SHARDS_PER_PAGE};
use greenroom_core::{Epoch, Incarnation, Shard, ShardCount, StoreId};
use uuid::Uuid;

/// A page that is read can be asked for any shard.
pub(crate) fn check(input: &[u8]) {
    let Ok(page) = serde_json::from_slice::<Page>(input) else { return };
    let written = serde_json::to_vec(&page).expect("a page has text keys only");
    assert_eq!(serde_json::from_slice::<Page>(&written).ok().as_ref(), Some(&page));
    let range = page.shard_range();
    assert!(range.end <= page.shards.get());
    for shard in [0, 1, 255, 256, range.start, range.end, u16::MAX] {
        let found = page.entry(Shard(shard));
        let place = usize::from(shard).checked_sub(usize::from(page.page) * usize::from(SHARDS_PER_PAGE));
        let place = place.filter(|place| *place < usize::from(SHARDS_PER_PAGE));
        assert_eq!(found, place.and_then(|place| page.entries.get(place)), "shard {shard}");
        assert!(!range.contains(&shard) || place.is_some(), "{shard} belongs on another page");
    }
    assert!(range.len() <= usize::from(SHARDS_PER_PAGE));
}

/// An empty page, and one with a member and an entry.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let shards = ShardCount::new(512).expect("it is within the limits");
    let store = StoreId(Uuid::from_u128(5));
    let member =
        Member { store, node: "node-0".into(), incarnation: Incarnation(3), group: Some("gpu".into()) };
    let owner = NodeRun { store, incarnation: Incarnation(3) };
    let in_sync = vec![store];
    let entry = Entry { epoch: Epoch(7), owner, prev: None, in_sync, evidence: Evidence::default() };
    let empty = Page::empty(1, shards);
    let page = Page { page: 0, members: vec![member], entries: vec![entry], ..empty.clone() };
    [empty, page].map(|page| serde_json::to_vec(&page).expect("a page has text keys only")).into()
}
