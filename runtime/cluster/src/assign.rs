//! Which member gets which shard when the cluster is created.
//!
//! Members are taken in order of their nodes' names and the shards are dealt to them in turn. So the assignment is
//! even (counts differ by at most one, on every page and in all), and it depends on nothing but who the members are.

use greenroom_core::Shard;
use greenroom_core::map::Member;

/// The owner of each of these shards, in the order of the shards; empty if there are no members.
pub fn assign(shards: impl Iterator<Item = Shard>, members: &[Member]) -> Vec<&Member> {
    let mut dealt: Vec<_> = members.iter().collect();
    dealt.sort_by_key(|member| (&member.node, member.store));
    if dealt.is_empty() {
        return Vec::new();
    }
    shards.map(|shard| dealt[usize::from(shard.0) % dealt.len()]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use greenroom_core::{Incarnation, ShardCount, StoreId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn members() -> impl Strategy<Value = Vec<Member>> {
        prop::collection::btree_map("[a-z]{1,3}-[0-9]", any::<u128>(), 1..12).prop_map(|members| {
            let member = |(node, store)| Member {
                store: StoreId(Uuid::from_u128(store)),
                node,
                incarnation: Incarnation(1),
            };
            members.into_iter().map(member).collect()
        })
    }

    proptest! {
        #[test]
        fn counts_differ_by_at_most_one(members in members(), shards in 1u16..3000) {
            let shards = ShardCount::new(shards).unwrap();
            let mut counts: BTreeMap<_, usize> = members.iter().map(|member| (&member.node, 0)).collect();
            for owner in assign(shards.shards(), &members) {
                *counts.get_mut(&owner.node).unwrap() += 1;
            }
            let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", counts);
            prop_assert_eq!(counts.values().sum::<usize>(), usize::from(shards.get()));
        }

        #[test]
        fn the_order_of_members_does_not_matter(members in members(), seed in any::<prop::sample::Index>()) {
            let shards = ShardCount::DEFAULT;
            let mut turned = members.clone();
            turned.rotate_left(seed.index(members.len()));
            turned.reverse();
            prop_assert_eq!(assign(shards.shards(), &members), assign(shards.shards(), &turned));
        }

        #[test]
        fn a_page_alone_is_assigned_like_the_whole(members in members(), from in 0u16..1000) {
            let whole = assign(ShardCount::DEFAULT.shards(), &members);
            let part = assign((from..1024).map(Shard), &members);
            prop_assert_eq!(&whole[usize::from(from)..], part);
        }
    }

    #[test]
    fn without_members_nobody_owns_anything() {
        assert!(assign(ShardCount::DEFAULT.shards(), &[]).is_empty());
    }
}
