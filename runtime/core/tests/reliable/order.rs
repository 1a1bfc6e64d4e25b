//! Messages of one pair are applied in order, pairs do not wait for each other, and delayed ones come when they are due.

use std::time::Duration;

use crate::town::{Town, Weather};

#[tokio::test(start_paused = true)]
async fn many_messages_are_applied_in_order_over_an_outage_and_a_crash() {
    let town = Town::new();
    *town.weather.lock() = Weather::NothingArrives;
    for _ in 0..10 {
        town.account("anna").pay_many("bert".into(), 50).await.unwrap();
        town.account("anna").pay_many("carl".into(), 7).await.unwrap();
    }
    let town = town.crash();
    // More while the old ones are on their way.
    for _ in 0..10 {
        town.account("anna").pay_many("bert".into(), 20).await.unwrap();
    }
    town.all_delivered().await;
    town.check(&["anna", "bert", "carl"]).await;
    assert_eq!(town.account("bert").books().await.unwrap().0, 700);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_refuses_holds_up_nobody_else() {
    let town = Town::new();
    town.account("bert").close(true).await.unwrap();
    town.account("anna").pay("bert".into(), 1).await.unwrap();
    town.account("anna").pay("carl".into(), 2).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(town.account("carl").books().await.unwrap().0, 2);
    // It is asked again, so it may change its mind.
    town.account("bert").close(false).await.unwrap();
    town.all_delivered().await;
    town.check(&["anna", "bert", "carl"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_comes_when_it_is_due_also_after_a_crash() {
    let town = Town::new();
    town.account("anna").pay_later("bert".into(), 100).await.unwrap();
    town.account("anna").pay_later("bert".into(), 200).await.unwrap();
    town.account("anna").pay("carl".into(), 1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert_eq!(town.account("carl").books().await.unwrap().0, 1);
    assert_eq!(town.account("bert").books().await.unwrap().0, 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(town.account("bert").books().await.unwrap().0, 1);
    let town = town.crash();
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(town.account("bert").books().await.unwrap().0, 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(town.account("bert").books().await.unwrap().0, 2);
    town.all_delivered().await;
    town.check(&["anna", "bert", "carl"]).await;
}
