//! Subscriptions that last as long as an activation.

use std::time::Duration;

use greenroom_core::Topic;

use crate::hall::{Hall, Line, line};
use crate::pair::{Pair, channel_shard, shard_of};

async fn soon() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_activation_which_nobody_brings_back() {
    let hall = Hall::new();
    hall.member("anna").listen_while_active("chat/*".into()).await.unwrap();
    hall.topic("chat/lobby").publish(&line("one")).await.unwrap();
    soon().await;
    assert_eq!(hall.heard("anna").await, ["one"]);
    hall.member("anna").leave().await.unwrap();
    soon().await;
    assert!(!hall.is_active("anna"));
    hall.topic("chat/lobby").publish(&line("two")).await.unwrap();
    soon().await;
    assert!(!hall.is_active("anna"), "a message does not activate it");
    // It is in memory again, and has not subscribed again.
    assert_eq!(hall.heard("anna").await, ["one"]);
    hall.topic("chat/lobby").publish(&line("three")).await.unwrap();
    soon().await;
    assert_eq!(hall.heard("anna").await, ["one"]);
    assert!(hall.node.engine.dead_letters().in_memory().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_lasts_while_the_activation_does_also_when_the_channel_leaves_memory() {
    let hall = Hall::new();
    hall.member("anna").listen_while_active("chat/lobby".into()).await.unwrap();
    for _ in 0..12 {
        // Somebody else keeps the member in memory.
        assert!(hall.heard("anna").await.is_empty());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    hall.node.engine.deactivate(&"greenroom.Topic/chat".parse().unwrap()).await;
    hall.topic("chat/lobby").tell(&line("one")).unwrap();
    soon().await;
    assert_eq!(hall.heard("anna").await, ["one"]);
    hall.member("anna").stop_listening("chat/lobby".into()).await.unwrap();
    hall.topic("chat/lobby").publish(&line("two")).await.unwrap();
    soon().await;
    assert_eq!(hall.heard("anna").await, ["one"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_no_record_and_a_crash_ends_it() {
    let hall = Hall::new();
    let before = hall.node.disk.len();
    hall.member("anna").listen_while_active("chat/lobby".into()).await.unwrap();
    hall.topic("chat/lobby").publish(&line("one")).await.unwrap();
    soon().await;
    assert_eq!(hall.heard("anna").await, ["one"]);
    assert_eq!(hall.node.disk.len(), before + 1, "only anna has changed");
    let hall = Hall::over(hall.node.disk.after_power_cut());
    hall.topic("chat/lobby").publish(&line("two")).await.unwrap();
    soon().await;
    assert_eq!(hall.heard("anna").await, ["one"]);
}

/// The node that it has left sees so when it next renews, and has its own subscription ended, not the new one.
#[tokio::test(start_paused = true)]
async fn it_goes_on_when_the_actor_has_moved_and_listens_again() {
    let (pair, chat) = (Pair::new(), channel_shard("chat"));
    let keys = (0..20).map(|number| format!("m{number}")).filter(|key| shard_of(key) != chat);
    let keys: Vec<String> = keys.collect();
    pair.listen(&keys).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    pair.shards().filter(|shard| *shard != chat).for_each(|shard| pair.move_away(shard));
    pair.listen(&keys).await;
    let lines: Vec<String> = (0..25).map(|second| second.to_string()).collect();
    for text in &lines {
        Topic::<Line>::new(pair.origin(), "chat/lobby").publish(&line(text)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for key in &keys {
        assert_eq!(pair.member(key).heard().await.unwrap(), lines, "{key}");
    }
}
