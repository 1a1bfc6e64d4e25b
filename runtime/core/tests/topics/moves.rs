//! Broadcasts while shards move: what the sender believes about owners may be old, or nothing.

use greenroom_core::identity::Shard;

use crate::hall::{MemberRef, line};
use crate::pair::{Pair, UNDER_WAY, shard_of};

/// From a program and from a turn; with old knowledge of the owners, and with none. The first of a node's shards is the one
/// that the message to that node is addressed to.
#[tokio::test(start_paused = true)]
async fn a_broadcast_finds_what_has_moved_and_tells_nobody_twice() {
    let keys: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    for moved in [&[0][..], &[2, 5], &[0, 1, 4], &[0, 1, 2, 3, 4, 5, 6, 7]] {
        for knows in [true, false] {
            let pair = Pair::new();
            pair.gather(&keys).await;
            moved.iter().for_each(|shard| pair.move_away(Shard(*shard)));
            pair.gather(&keys).await;
            if !knows {
                pair.links.iter().for_each(|link| link.believed.lock().fill(None));
            }
            pair.member("m1").everybody("turn".into()).await.unwrap();
            greenroom_core::broadcast(&pair.origin(), |member: MemberRef| member.hear(line("program")))
                .unwrap();
            tokio::time::sleep(UNDER_WAY * 10).await;
            for key in &keys {
                let mut heard = pair.member(key).heard().await.unwrap();
                heard.sort();
                assert_eq!(heard, ["program", "turn"], "{key}, {moved:?}, {knows}");
            }
        }
    }
}

/// Its messages are on their way when shards move: those to the other node, which has the odd ones, or those that pass it on.
#[tokio::test(start_paused = true)]
async fn a_broadcast_that_shards_overtake_tells_the_others_and_brings_nobody_back() {
    let keys: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    for (at_first, later) in [(&[1][..], &[][..]), (&[2, 5], &[]), (&[1], &[3, 7]), (&[0, 1, 3, 7], &[3, 7])]
    {
        let pair = Pair::new();
        pair.gather(&keys).await;
        greenroom_core::broadcast(&pair.origin(), |member: MemberRef| member.hear(line("news"))).unwrap();
        at_first.iter().for_each(|shard| pair.move_away(Shard(*shard)));
        tokio::time::sleep(UNDER_WAY * 3 / 2).await;
        later.iter().for_each(|shard| pair.move_away(Shard(*shard)));
        let moved = [at_first, later].concat();
        tokio::time::sleep(UNDER_WAY * 10).await;
        for key in &keys {
            let gone = moved.contains(&shard_of(key).0);
            assert_eq!(pair.is_active(key), !gone, "{key}, {moved:?}");
            let heard = pair.member(key).heard().await.unwrap();
            // One that has left may have heard it before.
            assert!(heard == ["news"] || gone && heard.is_empty(), "{key}, {moved:?}: {heard:?}");
        }
    }
}
