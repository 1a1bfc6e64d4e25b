//! Which member gets which shard when the cluster is created.
//!
//! The shards of a group are for its members, the general ones for the members of no group. Members are taken in order of
//! their nodes' names and their shards are dealt to them in turn. So the assignment is even (counts differ by at most
//! one, on every page and in all), and it depends on nothing but who the members are.

use greenroom_core::map::Member;
use greenroom_core::{Shard, ShardLayout, ShardRange};

/// The owner of each of these shards, in their order; `None` if a shard's group has no members.
pub fn assign<'a>(
    shards: impl Iterator<Item = Shard>,
    layout: &ShardLayout,
    members: &'a [Member],
) -> Option<Vec<&'a Member>> {
    let names = std::iter::once(None).chain(layout.groups().iter().map(|group| Some(&*group.name)));
    let hands: Vec<_> = names.map(|name| hand(layout, name, members)).collect();
    let owner = |shard: Shard| {
        let (range, dealt) = hands.iter().find(|(range, _)| range.contains(shard))?;
        let nth = usize::from(shard.0 - range.numbers().start);
        dealt.get(nth.checked_rem(dealt.len())?).copied()
    };
    shards.map(owner).collect()
}

/// The shards of a group, and those among whom they are dealt.
fn hand<'a>(
    layout: &ShardLayout,
    group: Option<&str>,
    members: &'a [Member],
) -> (ShardRange, Vec<&'a Member>) {
    let range = group.and_then(|name| layout.group(name)).unwrap_or(layout.general());
    let mut dealt: Vec<_> = members.iter().filter(|member| member.group.as_deref() == group).collect();
    dealt.sort_by_key(|member| (&member.node, member.store));
    (range, dealt)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use greenroom_core::{Incarnation, ShardCount, ShardGroup, StoreId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn members() -> impl Strategy<Value = Vec<Member>> {
        prop::collection::btree_map("[a-z]{1,3}-[0-9]", any::<u128>(), 1..12).prop_map(|members| {
            let member = |(node, store)| Member {
                store: StoreId(Uuid::from_u128(store)),
                node,
                incarnation: Incarnation(1),
                group: None,
            };
            members.into_iter().map(member).collect()
        })
    }

    proptest! {
        #[test]
        fn counts_differ_by_at_most_one(members in members(), shards in 1u16..3000) {
            let layout = ShardLayout::from(ShardCount::new(shards).unwrap());
            let mut counts: BTreeMap<_, usize> = members.iter().map(|member| (&member.node, 0)).collect();
            for owner in assign(layout.all().shards(), &layout, &members).unwrap() {
                *counts.get_mut(&owner.node).unwrap() += 1;
            }
            let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", counts);
            prop_assert_eq!(counts.values().sum::<usize>(), usize::from(shards));
        }

        #[test]
        fn the_order_of_members_does_not_matter(members in members(), seed in any::<prop::sample::Index>()) {
            let layout = ShardLayout::from(ShardCount::DEFAULT);
            let mut turned = members.clone();
            turned.rotate_left(seed.index(members.len()));
            turned.reverse();
            let dealt = |members| assign(layout.all().shards(), &layout, members);
            prop_assert_eq!(dealt(&members), dealt(&turned));
        }

        #[test]
        fn a_page_alone_is_assigned_like_the_whole(members in members(), from in 0u16..1000) {
            let layout = ShardLayout::from(ShardCount::DEFAULT);
            let whole = assign(layout.all().shards(), &layout, &members).unwrap();
            let part = assign((from..1024).map(Shard), &layout, &members).unwrap();
            prop_assert_eq!(&whole[usize::from(from)..], part);
        }

        /// Of each group and each page.
        #[test]
        fn groups_share_their_own_shards_evenly(
            mut members in members(),
            places in prop::collection::vec(0usize..3, 12),
            counts in (1u16..600, 1u16..300, 1u16..300),
        ) {
            const GROUPS: [Option<&str>; 3] = [None, Some("gpu"), Some("disk")];
            let group = |name: &str, shards| ShardGroup { name: name.into(), shards: ShardCount::new(shards).unwrap() };
            let groups = [group("gpu", counts.1), group("disk", counts.2)];
            let layout = ShardLayout::new(ShardCount::new(counts.0).unwrap(), groups).unwrap();
            for (member, place) in members.iter_mut().zip(&places) {
                member.group = GROUPS[*place].map(str::to_owned);
            }
            let all_there = GROUPS.iter().all(|group| members.iter().any(|member| member.group.as_deref() == *group));
            let owners = assign(layout.all().shards(), &layout, &members);
            prop_assert_eq!(owners.is_some(), all_there);
            for (page, shards) in layout.all().shards().collect::<Vec<_>>().chunks(256).enumerate() {
                let Some(owners) = assign(shards.iter().copied(), &layout, &members) else { continue };
                for group in GROUPS {
                    let of_group = members.iter().filter(|member| member.group.as_deref() == group);
                    let mut counts: BTreeMap<_, usize> = of_group.map(|member| (&member.node, 0)).collect();
                    let dealt = shards.iter().zip(&owners).filter(|(shard, _)| layout.group_of(**shard) == group);
                    for (_, owner) in dealt {
                        *counts.get_mut(&owner.node).expect("an owner is a member of its shard's group") += 1;
                    }
                    let (least, most) = (counts.values().min(), counts.values().max());
                    prop_assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= 1, "page {page}: {counts:?}");
                }
            }
        }
    }

    #[test]
    fn without_members_nobody_owns_anything() {
        let layout = ShardLayout::from(ShardCount::DEFAULT);
        assert_eq!(assign(layout.all().shards(), &layout, &[]), None);
    }
}
