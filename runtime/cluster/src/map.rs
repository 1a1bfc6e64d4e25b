//! The shard map as this node knows it: the newest pages it has seen.
//!
//! **Invariant**: versions never go back, whatever order a watch, a read and the answer of a write come in. A
//! [`View`] is immutable, so one call is routed by one state of the map; taking it costs a read lock and a reference
//! count.

use std::sync::Arc;

use greenroom_core::map::{Entry, Member, Page};
use greenroom_core::{Shard, ShardLayout, StoreId};

use crate::coordination::{Version, Versioned};
use crate::observed::{Observed, Watcher};

/// The newest pages, shared by everything in a node. A cheap clone of one map.
#[derive(Debug, Clone)]
pub struct ShardMap(Observed<Arc<View>>);

/// The map at one moment.
#[derive(Debug, Clone)]
pub struct View {
    layout: ShardLayout,
    pages: Vec<Option<Arc<Versioned<Page>>>>,
}

impl ShardMap {
    /// A map of which nothing is known yet.
    pub fn new(layout: impl Into<ShardLayout>) -> Self {
        Self(Observed::new(Arc::new(View::unknown(layout))))
    }

    /// The map as it is known now.
    pub fn view(&self) -> Arc<View> {
        self.0.get()
    }

    /// Sees each change, not necessarily each version.
    pub fn watch(&self) -> Watcher<Arc<View>> {
        self.0.watch()
    }

    /// Takes a page if it is newer than the known one.
    pub fn apply(&self, page: Versioned<Page>) -> bool {
        self.0.update(|view| match view.with(page) {
            Some(newer) => {
                *view = Arc::new(newer);
                true
            }
            None => false,
        })
    }
}

impl View {
    /// Nothing is known.
    pub fn unknown(layout: impl Into<ShardLayout>) -> Self {
        let layout = layout.into();
        Self { pages: vec![None; usize::from(layout.pages())], layout }
    }

    /// This view with one page replaced by a newer version; `None` if it is not newer or not of this map.
    pub fn with(&self, page: Versioned<Page>) -> Option<Self> {
        let number = usize::from(page.content.page);
        let known = self.pages.get(number)?.as_ref();
        if !page.content.is_of(&self.layout) || known.is_some_and(|known| known.version >= page.version) {
            return None;
        }
        let mut pages = self.pages.clone();
        pages[number] = Some(Arc::new(page));
        Some(Self { layout: self.layout.clone(), pages })
    }

    /// How the shards of the map are divided.
    pub fn layout(&self) -> &ShardLayout {
        &self.layout
    }

    /// A page, if it has been seen.
    pub fn page(&self, page: u16) -> Option<&Versioned<Page>> {
        self.pages.get(usize::from(page))?.as_deref()
    }

    /// The pages that have been seen, in order.
    pub fn pages(&self) -> impl Iterator<Item = &Versioned<Page>> {
        self.pages.iter().flatten().map(|page| &**page)
    }

    /// The version of a page; 0, which is below every version, if it has not been seen.
    pub fn version(&self, page: u16) -> Version {
        self.page(page).map_or(Version(0), |page| page.version)
    }

    /// A shard's entry; `None` before the first assignment is known.
    pub fn entry(&self, shard: Shard) -> Option<&Entry> {
        self.page(shard.page())?.content.entry(shard)
    }

    /// Every known entry with its shard, in order.
    pub fn entries(&self) -> impl Iterator<Item = (Shard, &Entry)> {
        self.pages().flat_map(|page| page.content.shard_range().map(Shard).zip(&page.content.entries))
    }

    /// True if every shard has an entry.
    pub fn is_assigned(&self) -> bool {
        self.entries().count() == usize::from(self.layout.total().get())
    }

    /// The members, in order of their nodes' names.
    pub fn members(&self) -> &[Member] {
        self.page(0).map_or(&[], |page| &page.content.members)
    }

    /// The member with this store.
    pub fn member(&self, store: StoreId) -> Option<&Member> {
        self.members().iter().find(|member| member.store == store)
    }

    /// The name of the node that runs on this store.
    pub fn node_of(&self, store: StoreId) -> Option<&str> {
        self.member(store).map(|member| &*member.node)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_core::map::NodeRun;
    use greenroom_core::{Epoch, Incarnation, ShardCount};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn page(number: u16, version: u64) -> Versioned<Page> {
        let shards = ShardCount::new(300).unwrap();
        let owner = NodeRun { store: StoreId(Uuid::from_u128(1)), incarnation: Incarnation(version) };
        let mut content = Page::empty(number, shards);
        content.entries = content
            .shard_range()
            .map(|_| Entry {
                epoch: Epoch(version),
                owner,
                prev: None,
                in_sync: vec![owner.store],
                evidence: Default::default(),
            })
            .collect();
        Versioned { version: Version(version), content }
    }

    #[test]
    fn a_shard_is_looked_up_on_its_page() {
        let map = ShardMap::new(ShardCount::new(300).unwrap());
        assert!(map.apply(page(1, 7)));
        let view = map.view();
        assert_eq!(view.entry(Shard(299)).unwrap().epoch, Epoch(7));
        assert_eq!(view.entry(Shard(0)), None);
        assert!(!view.is_assigned());
        assert!(map.apply(page(0, 1)));
        assert!(map.view().is_assigned());
        assert_eq!(
            map.view().entries().map(|(shard, _)| shard.0).collect::<Vec<_>>(),
            (0..300).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_page_of_another_map_is_not_taken() {
        let map = ShardMap::new(ShardCount::new(300).unwrap());
        assert!(!map.apply(Versioned { version: Version(1), content: Page::empty(9, ShardCount::DEFAULT) }));
    }

    proptest! {
        #[test]
        fn versions_never_go_back(versions in prop::collection::vec((0u16..2, 1u64..20), 1..40)) {
            let map = ShardMap::new(ShardCount::new(300).unwrap());
            for (number, version) in versions {
                let before = map.view().version(number);
                let taken = map.apply(page(number, version));
                prop_assert_eq!(taken, Version(version) > before);
                prop_assert_eq!(map.view().version(number), before.max(Version(version)));
            }
        }
    }
}
