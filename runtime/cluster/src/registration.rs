//! How a store enters the list of members on page 0, which every start of a node does before anything else.
//!
//! The list keeps each store's highest incarnation, and a start that does not exceed it is refused: its volume was
//! set back or cloned, and two runs could believe to be the same one (planted mistake "RegressedStore"). A node that
//! comes back with another store than the map knows it by is refused too: its shards would silently be empty.
//!
//! In a cluster with groups, page 0 keeps for all times in which group a store and a type are. A start that says otherwise
//! is refused: its shards, or its actors, would be elsewhere.
//!
//! Before the first assignment nothing can be lost, so an emptied volume may simply be replaced.

use std::collections::BTreeMap;
use std::fmt;

use greenroom_core::map::{Member, Page};
use greenroom_core::{Incarnation, StoreId};
use thiserror::Error;

/// One start of a node on its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The store, the node's name and the incarnation of this run.
    pub me: Member,
    /// The group in which each type lives that this node serves, empty for the general nodes; none at all in a cluster
    /// without groups.
    pub types: BTreeMap<String, String>,
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
    /// The node says that it belongs to a group that the cluster does not have.
    #[error(
        "node {node} was started as one of the group {group}, but this cluster {known}: groups are fixed when a cluster is \
         created. Start the node with one of its groups, or without one"
    )]
    NoSuchGroup {
        /// The node.
        node: String,
        /// The group that it names.
        group: String,
        /// Which ones there are.
        known: String,
    },
    /// The store belongs to another group.
    #[error(
        "store {store} of node {node} has always been one of {expected}, and was now started as one of {mine}: its shards do \
         not belong there. Start the node with the group it had; a node of the other group needs a volume of its own"
    )]
    OtherGroup {
        /// The node.
        node: String,
        /// Its store.
        store: StoreId,
        /// The group that the map has.
        expected: Place,
        /// The group of this start.
        mine: Place,
    },
    /// A type is pinned to another group than it always was.
    #[error(
        "type {actor_type} is to live on {mine}, but this cluster has always had it on {expected}: its actors would be \
         elsewhere, without their state. {}, or give the type a new name and move the state", way_back(.expected)
    )]
    TypeElsewhere {
        /// The type.
        actor_type: String,
        /// Where the map has it.
        expected: Place,
        /// Where this program has it.
        mine: Place,
    },
}

/// The nodes of a group, or the general nodes, in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Option<String>);

impl Place {
    fn of(group: Option<&str>) -> Self {
        Self(group.filter(|name| !name.is_empty()).map(str::to_owned))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(group) => write!(f, "the group {group}"),
            None => f.write_str("the general nodes"),
        }
    }
}

fn way_back(expected: &Place) -> String {
    match &expected.0 {
        Some(group) => format!("Put #[actor(pinned(\"{group}\"))] back"),
        None => "Take its option `pinned` back".into(),
    }
}

/// What page 0 must become so that this run is registered; `None` if it is.
pub fn register(page0: &Page, start: &Start) -> Result<Option<Page>, Refused> {
    let me = &start.me;
    let assigned = !page0.entries.is_empty();
    check_groups(page0, start)?;
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
    page.types.extend(start.types.clone());
    Ok(Some(page))
}

/// Refuses a start that is not in line with what the map keeps about groups.
fn check_groups(page0: &Page, start: &Start) -> Result<(), Refused> {
    let me = &start.me;
    if let Some(group) =
        me.group.as_ref().filter(|name| page0.groups.iter().all(|group| group.name != **name))
    {
        let names: Vec<_> = page0.groups.iter().map(|group| group.name.as_str()).collect();
        let known =
            if names.is_empty() { "has no groups".into() } else { format!("has {}", names.join(", ")) };
        return Err(Refused::NoSuchGroup { node: me.node.clone(), group: group.clone(), known });
    }
    let known = page0.members.iter().find(|member| member.store == me.store);
    if let Some(known) = known.filter(|known| known.group != me.group) {
        return Err(Refused::OtherGroup {
            node: me.node.clone(),
            store: me.store,
            expected: Place::of(known.group.as_deref()),
            mine: Place::of(me.group.as_deref()),
        });
    }
    for (actor_type, mine) in &start.types {
        if let Some(expected) = page0.types.get(actor_type).filter(|expected| *expected != mine) {
            return Err(Refused::TypeElsewhere {
                actor_type: actor_type.clone(),
                expected: Place::of(Some(expected)),
                mine: Place::of(Some(mine)),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use greenroom_core::map::{Entry, NodeRun};
    use greenroom_core::{Epoch, Incarnation, ShardCount, ShardGroup, ShardLayout};
    use uuid::Uuid;

    use super::*;

    fn member(store: u128, node: &str, incarnation: u64) -> Member {
        Member {
            store: StoreId(Uuid::from_u128(store)),
            node: node.into(),
            incarnation: Incarnation(incarnation),
            group: None,
        }
    }

    fn start(me: Member) -> Start {
        Start { me, types: BTreeMap::new(), store_has_data: false, may_be_registered: false }
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

    /// A page of a cluster with the group `gpu`, of which node `g` is a member.
    fn page_with_group(assigned: bool) -> Page {
        let group = ShardGroup { name: "gpu".into(), shards: ShardCount::new(1).unwrap() };
        let layout = ShardLayout::new(ShardCount::new(1).unwrap(), [group]).unwrap();
        let members = [member(1, "a", 1), Member { group: Some("gpu".into()), ..member(2, "g", 1) }];
        let types = BTreeMap::from([("Counter", ""), ("Renderer", "gpu")]);
        let types = types.into_iter().map(|(name, group)| (name.into(), group.into())).collect();
        let groups = layout.groups().to_vec();
        Page { groups, types, shards: layout.total(), ..page(&members, assigned) }
    }

    fn restart_with(group: Option<&str>, types: &[(&str, &str)]) -> Start {
        let me = Member { group: group.map(str::to_owned), ..member(2, "g", 2) };
        let types = types.iter().map(|(name, group)| ((*name).into(), (*group).into())).collect();
        Start { types, ..start(me) }
    }

    #[test]
    fn a_store_stays_in_its_group() {
        for assigned in [false, true] {
            let page = page_with_group(assigned);
            assert!(register(&page, &restart_with(Some("gpu"), &[])).is_ok());
            let refused = register(&page, &restart_with(None, &[])).unwrap_err().to_string();
            assert!(
                refused.contains("one of the group gpu, and was now started as one of the general"),
                "{refused}"
            );
            let unknown = register(&page, &restart_with(Some("disk"), &[])).unwrap_err().to_string();
            assert!(
                unknown.contains("the group disk, but this cluster has gpu: groups are fixed"),
                "{unknown}"
            );
        }
        let mut general = start(member(1, "a", 2));
        general.me.group = Some("gpu".into());
        assert!(matches!(register(&page_with_group(true), &general), Err(Refused::OtherGroup { .. })));
    }

    #[test]
    fn a_type_is_written_once_and_stays_where_it_is() {
        let page = page_with_group(true);
        let served = [("Counter", ""), ("Renderer", "gpu"), ("Upscaler", "gpu")];
        let after = register(&page, &restart_with(Some("gpu"), &served)).unwrap().unwrap();
        let written: Vec<_> =
            after.types.iter().map(|(name, group)| (name.as_str(), group.as_str())).collect();
        assert_eq!(written, served);
        let pinned =
            register(&page, &restart_with(Some("gpu"), &[("Counter", "gpu")])).unwrap_err().to_string();
        assert!(pinned.contains("always had it on the general nodes") && pinned.contains("Take"), "{pinned}");
        let free = register(&page, &restart_with(Some("gpu"), &[("Renderer", "")])).unwrap_err().to_string();
        assert!(free.contains("#[actor(pinned(\"gpu\"))] back"), "{free}");
    }

    #[test]
    fn a_page_without_groups_has_the_form_that_it_always_had() {
        let after = register(&page(&[member(1, "a", 1)], false), &start(member(1, "a", 2))).unwrap().unwrap();
        let form = serde_json::to_value(after).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&form), ["entries", "members", "page", "shards"]);
        assert_eq!(keys(&form["members"][0]), ["incarnation", "node", "store"]);
    }
}
