//! What the coordinator writes to the map: first entries, and a new epoch for shards whose owner was restarted.
//!
//! The coordinator is by convention the first present member, by name; nothing elects it and any number of them are
//! harmless, because every write is a compare-and-set on the version from which it was planned (R1). After a conflict
//! the plan is made again from the page as it then is; no prepared entry is carried over to a newer version.
//!
//! **First entries** are written once, when all expected members of each group have registered; page 0 first, so that "page 0 has
//! no entries" means that no page has any (registration relies on it).
//! **Replace**: if the owner's store runs under a newer incarnation, the run in the entry has ended for certain
//! (assumption A4: one process per store), so that store's new run becomes owner at epoch + 1, with the evidence. The
//! in-sync set stays as it is.
//!
//! Properties, tested below: the epoch of a shard only grows, by one; the in-sync set of an entry never changes here;
//! a plan that has been carried out leaves nothing to plan (I6), whoever carries it out, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_core::map::{Entry, Evidence, Member, NodeRun, Page};
use greenroom_core::{Epoch, Shard, ShardLayout};

use crate::assign::assign;
use crate::coordination::{Version, Versioned};
use crate::map::View;

/// A compare-and-set that is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageWrite {
    /// The version that the plan was made from.
    pub base: Version,
    /// What the page becomes.
    pub content: Page,
}

/// How many members the first assignment waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Members of no group: the cluster's `replicas`.
    pub general: usize,
    /// Members of each group, by its name.
    pub groups: BTreeMap<String, usize>,
}

impl From<usize> for Expected {
    fn from(general: usize) -> Self {
        Self { general, groups: BTreeMap::new() }
    }
}

impl Expected {
    fn are(&self, members: &[Member]) -> bool {
        let there =
            |group: Option<&str>| members.iter().filter(|member| member.group.as_deref() == group).count();
        there(None) >= self.general
            && self.groups.iter().all(|(name, expected)| there(Some(name)) >= *expected)
    }
}

/// What the node `me` should write now. `present` are the names of the nodes that run.
pub fn plan(view: &View, present: &BTreeSet<String>, expected: &Expected, me: &str) -> Vec<PageWrite> {
    let members = view.members();
    let first = present.iter().find(|name| members.iter().any(|member| member.node == **name));
    if first.is_none_or(|first| first != me) {
        return Vec::new();
    }
    let Some(page0) = view.page(0) else { return Vec::new() };
    let page0_assigned = !page0.content.entries.is_empty();
    let complete = expected.are(members);
    let may_assign = |page: &Page| complete && (page.page == 0 || page0_assigned);
    view.pages()
        .filter_map(|page| match page.content.entries.is_empty() {
            true if may_assign(&page.content) => first_entries(page, view.layout(), members),
            true => None,
            false => replace(page, members),
        })
        .collect()
}

fn first_entries(page: &Versioned<Page>, layout: &ShardLayout, members: &[Member]) -> Option<PageWrite> {
    let owners = assign(page.content.shard_range().map(Shard), layout, members)?;
    let entries = owners.into_iter().map(|owner| Entry {
        epoch: Epoch(1),
        owner: run_of(owner),
        prev: None,
        in_sync: vec![owner.store],
        evidence: Evidence::None,
    });
    let content = Page { entries: entries.collect(), ..page.content.clone() };
    Some(PageWrite { base: page.version, content })
}

/// The page with every entry replaced whose owner has ended; `None` if there is none.
fn replace(page: &Versioned<Page>, members: &[Member]) -> Option<PageWrite> {
    let mut content = page.content.clone();
    let mut changed = false;
    for entry in &mut content.entries {
        let owner = members.iter().find(|member| member.store == entry.owner.store);
        let Some(owner) = owner.filter(|owner| owner.incarnation > entry.owner.incarnation) else { continue };
        changed = true;
        entry.epoch = entry.epoch.next();
        entry.prev = Some(entry.owner.store);
        entry.owner = run_of(owner);
        entry.evidence = Evidence::Dead;
    }
    changed.then_some(PageWrite { base: page.version, content })
}

fn run_of(member: &Member) -> NodeRun {
    NodeRun { store: member.store, incarnation: member.incarnation }
}

#[cfg(test)]
mod tests {
    use greenroom_core::{Incarnation, ShardCount, ShardGroup, StoreId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// With a group of shards that stands on two pages; node 2 is its member.
    fn layout() -> ShardLayout {
        let group = ShardGroup { name: "gpu".into(), shards: ShardCount::new(200).unwrap() };
        ShardLayout::new(ShardCount::new(400).unwrap(), [group]).unwrap()
    }

    fn group_of(node: u128) -> Option<String> {
        (node == 2).then(|| "gpu".to_owned())
    }

    /// So many of the nodes from 0 on.
    fn expect(nodes: usize) -> Expected {
        let of_group = usize::from(nodes > 2);
        Expected { general: nodes - of_group, groups: BTreeMap::from([("gpu".to_owned(), of_group)]) }
    }

    /// The register, as plain pages.
    #[derive(Clone)]
    struct Register(Vec<Versioned<Page>>);

    impl Register {
        fn new() -> Self {
            let page = |page| Versioned { version: Version(1), content: Page::empty(page, layout()) };
            Self((0..layout().pages()).map(page).collect())
        }

        fn view(&self) -> View {
            let unknown = View::unknown(layout());
            self.0.iter().fold(unknown, |view, page| view.with(page.clone()).unwrap())
        }

        fn start(&mut self, node: u128) {
            let page = &mut self.0[0];
            let (name, store) = (format!("n-{node}"), StoreId(Uuid::from_u128(node)));
            page.version.0 += 1;
            match page.content.members.iter_mut().find(|member| member.store == store) {
                Some(member) => member.incarnation.0 += 1,
                None => {
                    let (incarnation, group) = (Incarnation(1), group_of(node));
                    page.content.members.push(Member { store, node: name, incarnation, group });
                }
            }
            page.content.members.sort_by(|a, b| a.node.cmp(&b.node));
        }

        fn write(&mut self, write: PageWrite) -> bool {
            let page = &mut self.0[usize::from(write.content.page)];
            let lands = page.version == write.base;
            if lands {
                *page = Versioned { version: Version(write.base.0 + 1), content: write.content };
            }
            lands
        }

        fn plan_all(&self, expected: usize) -> Vec<PageWrite> {
            let present = names(0..10);
            plan(&self.view(), &present, &expect(expected), &self.view().members()[0].node)
        }

        fn settle(&mut self, expected: usize) {
            for _ in 0..4 {
                for write in self.plan_all(expected) {
                    assert!(self.write(write));
                }
            }
        }
    }

    fn names(nodes: std::ops::Range<u128>) -> BTreeSet<String> {
        nodes.map(|node| format!("n-{node}")).collect()
    }

    fn started(nodes: std::ops::Range<u128>) -> Register {
        let mut register = Register::new();
        nodes.for_each(|node| register.start(node));
        register
    }

    #[test]
    fn the_first_entries_wait_for_all_expected_members() {
        assert!(started(0..2).plan_all(3).is_empty());
        let mut register = started(0..3);
        assert_eq!(register.plan_all(3).iter().map(|write| write.content.page).collect::<Vec<_>>(), [0]);
        register.settle(3);
        assert!(register.view().is_assigned());
        for (shard, entry) in register.view().entries() {
            let owner = register.view().member(entry.owner.store).unwrap().clone();
            assert_eq!(owner.group.as_deref(), layout().group_of(shard), "shard {shard}");
            assert_eq!((entry.epoch, entry.prev, entry.evidence), (Epoch(1), None, Evidence::None));
            assert_eq!(entry.in_sync, [entry.owner.store]);
        }
    }

    #[test]
    fn too_many_of_one_group_do_not_stand_for_another() {
        let mut register = started(0..2);
        register.start(3);
        assert!(register.plan_all(3).is_empty(), "nobody of the group is there");
        register.start(2);
        assert_eq!(register.plan_all(3).len(), 1);
    }

    #[test]
    fn the_first_present_member_acts_and_nobody_else() {
        let view = started(0..3).view();
        let actors = |present: &BTreeSet<String>| -> Vec<_> {
            (0..4)
                .map(|node| format!("n-{node}"))
                .filter(|me| !plan(&view, present, &expect(3), me).is_empty())
                .collect()
        };
        assert_eq!(actors(&names(0..3)), ["n-0"]);
        assert_eq!(actors(&names(1..3)), ["n-1"]);
        let stranger_first = BTreeSet::from(["a-stranger".to_owned(), "n-2".to_owned()]);
        assert_eq!(actors(&stranger_first), ["n-2"]);
    }

    #[test]
    fn a_restarted_member_gets_its_shards_back_at_the_next_epoch() {
        let mut register = started(0..3);
        register.settle(3);
        let before = register.view();
        register.start(1);
        register.settle(3);
        let restarted = StoreId(Uuid::from_u128(1));
        for ((_, before), (shard, after)) in before.entries().zip(register.view().entries()) {
            let mut expected = before.clone();
            if before.owner.store == restarted {
                let owner = NodeRun { store: restarted, incarnation: Incarnation(2) };
                expected = Entry {
                    epoch: Epoch(2),
                    owner,
                    prev: Some(restarted),
                    in_sync: vec![restarted],
                    evidence: Evidence::Dead,
                };
            }
            assert_eq!(*after, expected, "shard {shard}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Several coordinators plan from old views and write in any order, members restart meanwhile.
        #[test]
        fn any_number_of_coordinators_are_harmless(
            steps in prop::collection::vec((0u128..4, any::<prop::sample::Index>(), 0u8..4), 1..60),
        ) {
            let mut register = started(0..3);
            let mut views = vec![register.view()];
            for (node, old, action) in steps {
                if action == 0 && node < 3 {
                    register.start(node);
                }
                let me = BTreeSet::from([format!("n-{node}")]);
                for write in plan(old.get(&views), &me, &expect(3), me.first().unwrap()) {
                    let before = register.0[usize::from(write.content.page)].clone();
                    if register.write(write) {
                        let after = &register.0[usize::from(before.content.page)];
                        prop_assert_eq!(&before.content.members, &after.content.members);
                        for (before, after) in before.content.entries.iter().zip(&after.content.entries) {
                            prop_assert!(before == after || after.epoch == before.epoch.next());
                            prop_assert_eq!(&before.in_sync, &after.in_sync);
                        }
                    }
                }
                views.push(register.view());
            }
            register.settle(3);
            prop_assert!(register.plan_all(3).is_empty(), "I6: nothing is left to write");
            let view = register.view();
            prop_assert!(view.is_assigned());
            for (shard, entry) in view.entries() {
                let owner = view.member(entry.owner.store).unwrap();
                prop_assert_eq!(owner.incarnation, entry.owner.incarnation);
                let layout = layout();
                prop_assert_eq!(owner.group.as_deref(), layout.group_of(shard));
            }
        }
    }
}
