//! How a store enters the list of members on page 0, which every start of a node does before anything else.
//!
//! The list keeps each store's highest incarnation, and a start that does not exceed it is refused: its volume was
//! set back or cloned, and two runs could believe to be the same one (planted mistake "RegressedStore"). A node that
//! comes back with another store than the map knows it by is refused too: its shards would silently be empty.
//!
//! Before the first assignment nothing can be lost, so an emptied volume may simply be replaced.

use greenroom_core::map::{Member, Page};
use greenroom_core::{Incarnation, StoreId};
use thiserror::Error;

/// One start of a node on its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The store, the node's name and the incarnation of this run.
    pub me: Member,
    /// True if the store has records of any shard.
    pub store_has_data: bool,
    /// True once this run has sent a registration whose outcome it did not learn: the entry that shows may be its own.
    pub may_be_registered: bool,
}

/// Why the cluster does not take the store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The store's incarnation is not above the highest known one.
    #[error(
        "store {store} of node {node} starts as incarnation {mine}, but the cluster has already seen {highest}: its volume \
         was set back to an older copy, or cloned. Give the node its newest volume back; if that is lost, restore the \
         cluster from a backup"
    )]
    OldIncarnation {
        /// The node.
        node: String,
        /// Its store.
        store: StoreId,
        /// The incarnation of this run.
        mine: Incarnation,
        /// The highest incarnation that the map has.
        highest: Incarnation,
    },
    /// The store holds data of a cluster that this is not, or that has lost its map.
    #[error(
        "store {store} of node {node} holds data, but the shard map does not know the store: it belongs to another cluster, \
         or the map was lost. Restore the map, or start the node with the right cluster; if the data is not wanted, \
         delete the node's volume and start it again"
    )]
    UnknownStoreWithData {
        /// The node.
        node: String,
        /// Its store.
        store: StoreId,
    },
    /// The map knows this node by another store.
    #[error(
        "node {node} comes with store {mine}, but the shard map knows it by store {expected}: its volume was lost, emptied or \
         exchanged. Give the node its volume back; a lost volume of a cluster with one copy needs a restore from a backup"
    )]
    OtherStore {
        /// The node.
        node: String,
        /// The store it comes with.
        mine: StoreId,
        /// The store that the map has.
        expected: StoreId,
    },
}

/// What page 0 must become so that this run is registered; `None` if it is.
pub fn register(page0: &Page, start: &Start) -> Result<Option<Page>, Refused> {
    let me = &start.me;
    let assigned = !page0.entries.is_empty();
    let namesake = page0.members.iter().find(|member| member.node == me.node && member.store != me.store);
    if let Some(namesake) = namesake.filter(|_| assigned) {
        return Err(Refused::OtherStore { node: me.node.clone(), mine: me.store, expected: namesake.store });
    }
    match page0.members.iter().find(|member| member.store == me.store) {
        Some(known) if start.may_be_registered && known == me => return Ok(None),
        Some(known) if known.incarnation >= me.incarnation => {
            return Err(Refused::OldIncarnation {
                node: me.node.clone(),
                store: me.store,
                mine: me.incarnation,
                highest: known.incarnation,
            });
        }
        None if start.store_has_data => {
            return Err(Refused::UnknownStoreWithData { node: me.node.clone(), store: me.store });
        }
        Some(_) | None => {}
    }
    let mut page = page0.clone();
    page.members.retain(|member| member.node != me.node && member.store != me.store);
    let place = page.members.partition_point(|member| member.node < me.node);
    page.members.insert(place, me.clone());
    Ok(Some(page))
}

#[cfg(test)]
mod tests {
    use greenroom_core::ShardCount;
    use greenroom_core::map::{Entry, NodeRun};
    use greenroom_core::{Epoch, Incarnation};
    use uuid::Uuid;

    use super::*;

    fn member(store: u128, node: &str, incarnation: u64) -> Member {
        Member {
            store: StoreId(Uuid::from_u128(store)),
            node: node.into(),
            incarnation: Incarnation(incarnation),
        }
    }

    fn start(me: Member) -> Start {
        Start { me, store_has_data: false, may_be_registered: false }
    }

    fn page(members: &[Member], assigned: bool) -> Page {
        let mut page = Page::empty(0, ShardCount::new(1).unwrap());
        page.members = members.to_vec();
        if assigned {
            let owner = NodeRun { store: members[0].store, incarnation: members[0].incarnation };
            page.entries.push(Entry {
                epoch: Epoch(1),
                owner,
                prev: None,
                in_sync: vec![owner.store],
                evidence: Default::default(),
            });
        }
        page
    }

    fn members_after(page: &Page, start: &Start) -> Vec<Member> {
        register(page, start).unwrap().expect("a change").members
    }

    #[test]
    fn a_new_store_is_added_in_order_of_names() {
        let page = page(&[member(1, "a", 1), member(3, "c", 1)], true);
        let after = members_after(&page, &start(member(2, "b", 1)));
        assert_eq!(after, [member(1, "a", 1), member(2, "b", 1), member(3, "c", 1)]);
    }

    #[test]
    fn a_restart_raises_the_incarnation_and_nothing_else() {
        let page = page(&[member(1, "a", 1), member(2, "b", 4)], true);
        let mut restart = start(member(2, "b", 5));
        restart.store_has_data = true;
        assert_eq!(members_after(&page, &restart), [member(1, "a", 1), member(2, "b", 5)]);
    }

    #[test]
    fn an_incarnation_that_was_seen_before_is_refused() {
        let page = page(&[member(1, "a", 5)], true);
        for incarnation in [4, 5] {
            let refused = register(&page, &start(member(1, "a", incarnation))).unwrap_err();
            assert!(matches!(refused, Refused::OldIncarnation { .. }), "{refused}");
            assert!(refused.to_string().contains("set back"), "{refused}");
        }
    }

    #[test]
    fn after_an_unknown_outcome_the_own_entry_counts_as_registered() {
        let page = page(&[member(1, "a", 5)], true);
        let mut again = start(member(1, "a", 5));
        again.may_be_registered = true;
        assert_eq!(register(&page, &again), Ok(None));
        again.me.incarnation = Incarnation(4);
        assert!(register(&page, &again).is_err(), "a higher incarnation is never one's own");
    }

    #[test]
    fn a_store_with_data_that_the_map_does_not_know_is_refused() {
        let mut stranger = start(member(9, "z", 3));
        stranger.store_has_data = true;
        for page in [page(&[], false), page(&[member(1, "a", 1)], true)] {
            let refused = register(&page, &stranger).unwrap_err();
            assert!(matches!(refused, Refused::UnknownStoreWithData { .. }), "{refused}");
        }
    }

    #[test]
    fn a_node_whose_volume_was_emptied_is_refused_once_shards_are_assigned() {
        let emptied = start(member(2, "a", 1));
        let refused = register(&page(&[member(1, "a", 7)], true), &emptied).unwrap_err();
        assert!(matches!(refused, Refused::OtherStore { .. }), "{refused}");
        assert_eq!(members_after(&page(&[member(1, "a", 7)], false), &emptied), [member(2, "a", 1)]);
    }

    #[test]
    fn exchanged_volumes_are_refused() {
        let page = page(&[member(1, "a", 7), member(2, "b", 7)], true);
        let refused = register(&page, &start(member(2, "a", 8))).unwrap_err();
        assert!(matches!(refused, Refused::OtherStore { .. }), "{refused}");
    }

    #[test]
    fn a_volume_may_move_to_a_node_with_a_new_name() {
        let page = page(&[member(1, "a", 7)], true);
        assert_eq!(members_after(&page, &start(member(1, "b", 8))), [member(1, "b", 8)]);
    }
}
