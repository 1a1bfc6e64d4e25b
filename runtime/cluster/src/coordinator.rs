//! What the coordinator writes to the map: first entries, and a new epoch for shards whose owner was restarted.
//!
//! The coordinator is by convention the first present member, by name; nothing elects it and any number of them are
//! harmless, because every write is a compare-and-set on the version from which it was planned (R1). After a conflict
//! the plan is made again from the page as it then is; no prepared entry is carried over to a newer version.
//!
//! **First entries** are written once, when all expected members have registered; page 0 first, so that "page 0 has
//! no entries" means that no page has any (registration relies on it).
//! **Replace**: if the owner's store runs under a newer incarnation, the run in the entry has ended for certain
//! (assumption A4: one process per store), so that store's new run becomes owner at epoch + 1, with the evidence. The
//! in-sync set stays as it is.
//!
//! Properties, tested below: the epoch of a shard only grows, by one; the in-sync set of an entry never changes here;
//! a plan that has been carried out leaves nothing to plan (I6), whoever carries it out, in whatever order.

use std::collections::BTreeSet;

use greenroom_core::Epoch;
use greenroom_core::Shard;
use greenroom_core::map::{Entry, Evidence, Member, NodeRun, Page};

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

/// What the node `me` should write now. `present` are the names of the nodes that run; `expected` is the number of
/// members that the first assignment waits for.
pub fn plan(view: &View, present: &BTreeSet<String>, expected: usize, me: &str) -> Vec<PageWrite> {
    let members = view.members();
    let first = present.iter().find(|name| members.iter().any(|member| member.node == **name));
    if first.is_none_or(|first| first != me) {
        return Vec::new();
    }
    let Some(page0) = view.page(0) else { return Vec::new() };
    let page0_assigned = !page0.content.entries.is_empty();
    let may_assign = |page: &Page| members.len() >= expected && (page.page == 0 || page0_assigned);
    view.pages()
        .filter_map(|page| match page.content.entries.is_empty() {
            true => may_assign(&page.content).then(|| first_entries(page, members)),
            false => replace(page, members),
        })
        .collect()
}

fn first_entries(page: &Versioned<Page>, members: &[Member]) -> PageWrite {
    let owners = assign(page.content.shard_range().map(Shard), members);
    let entries = owners.into_iter().map(|owner| Entry {
        epoch: Epoch(1),
        owner: run_of(owner),
        prev: None,
        in_sync: vec![owner.store],
        evidence: Evidence::None,
    });
    PageWrite { base: page.version, content: Page { entries: entries.collect(), ..page.content.clone() } }
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
