//! Presence in a simulated cluster, in virtual time.

use std::time::Duration;

use greenroom::testing::Simulation;
use greenroom::{CallError, ReplyStream};
use greenroom_presence::{Friend, Friends, Player, SILENCE};

fn simulation() -> Simulation {
    Simulation::new().actor::<Player>().actor::<Friends>().nodes(3)
}

async fn next(friends: &mut ReplyStream<Friend>) -> Result<(String, Option<String>), CallError> {
    let friend = friends.next().await.expect("it ends with an error or not at all")?;
    Ok((friend.name, friend.place))
}

fn at(name: &str, place: &str) -> (String, Option<String>) {
    (name.into(), Some(place.into()))
}

fn gone(name: &str) -> (String, Option<String>) {
    (name.into(), None)
}

#[test]
fn friends_see_live_who_comes_moves_leaves_and_breaks_off() {
    simulation().seeds(5).run(async |cluster| {
        let ann = cluster.actor::<Friends>("ann");
        ann.add("bob".into()).await?;
        ann.add("carol".into()).await?;
        let (bob, carol) = (cluster.actor::<Player>("bob"), cluster.actor::<Player>("carol"));
        bob.heartbeat("hall".into()).await?;
        let mut friends = ann.watch().await?;
        let mut first = [next(&mut friends).await?, next(&mut friends).await?];
        first.sort();
        assert_eq!(first, [at("bob", "hall"), gone("carol")]);

        carol.heartbeat("tower".into()).await?;
        assert_eq!(next(&mut friends).await?, at("carol", "tower"));
        carol.goodbye().await?;
        assert_eq!(next(&mut friends).await?, gone("carol"));
        bob.heartbeat("cellar".into()).await?;
        assert_eq!(next(&mut friends).await?, at("bob", "cellar"));

        // Bob's session says no more.
        let before = cluster.elapsed();
        assert_eq!(next(&mut friends).await?, gone("bob"));
        let silent = cluster.elapsed() - before;
        assert!(silent.abs_diff(SILENCE) < Duration::from_millis(500), "{silent:?}");
        Ok(())
    });
}

#[test]
fn a_heartbeat_in_time_keeps_a_player_online_without_a_word_to_his_friends() {
    simulation().run(async |cluster| {
        let ann = cluster.actor::<Friends>("ann");
        ann.add("bob".into()).await?;
        let mut friends = ann.watch().await?;
        assert_eq!(next(&mut friends).await?, gone("bob"));
        for _ in 0..16 {
            cluster.actor::<Player>("bob").heartbeat("hall".into()).await?;
            cluster.advance(SILENCE - Duration::from_millis(500)).await;
        }
        assert_eq!(next(&mut friends).await?, at("bob", "hall"));
        assert_eq!(next(&mut friends).await?, gone("bob"), "nothing between");
        Ok(())
    });
}

#[test]
fn who_loses_a_friends_node_is_told_and_sees_everybody_again() {
    simulation().run(async |cluster| {
        let ann = cluster.actor::<Friends>("ann");
        ann.add("bob".into()).await?;
        cluster.actor::<Player>("bob").heartbeat("hall".into()).await?;
        let mut friends = ann.watch().await?;
        assert_eq!(next(&mut friends).await?, at("bob", "hall"));

        let node = cluster.node_of::<Player>("bob");
        cluster.kill(&node);
        cluster.restart(&node);
        assert!(next(&mut friends).await.is_err());
        cluster.actor::<Player>("bob").heartbeat("garden".into()).await?;
        let mut friends = ann.watch().await?;
        assert_eq!(next(&mut friends).await?, at("bob", "garden"));
        Ok(())
    });
}
