//! Crashes at every point, and a post that loses and repeats.

use std::time::Duration;

use futures_util::future::join_all;
use greenroom_core::CallError;
use greenroom_core::journal::CALL_RETENTION_MS;
use greenroom_core::rows::Space;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::town::{Town, Weather};

const SYNC: Duration = Duration::from_millis(3);

/// Everybody pays everybody.
async fn payments(town: &Town) {
    let pay = |from: &'static str, to: &str, amount| town.account(from).pay(to.into(), amount);
    let payments = [
        pay("anna", "bert", 5),
        pay("anna", "bert", 6),
        pay("bert", "carl", 7),
        pay("carl", "anna", 8),
        pay("anna", "anna", 9),
        pay("bert", "anna", 1),
        pay("anna", "carl", 2),
        pay("bert", "carl", 3),
    ];
    for paid in join_all(payments.into_iter().map(IntoFuture::into_future)).await {
        paid.unwrap();
    }
}

const EVERYBODY: [&str; 3] = ["anna", "bert", "carl"];

#[tokio::test(start_paused = true)]
async fn money_is_neither_made_nor_lost_by_a_crash_at_any_record() {
    let begun = Instant::now();
    let town = Town::over(Vec::new(), SYNC, begun);
    payments(&town).await;
    town.all_delivered().await;
    town.check(&EVERYBODY).await;
    town.kill();
    let records = town.disk.records();
    assert!(records.len() > 16, "{}", records.len());
    // The log of a node is one file: a crash leaves a beginning of it.
    for kept in 0..=records.len() {
        let town = Town::over(records[..kept].to_vec(), SYNC, begun);
        town.all_delivered().await;
        town.check(&EVERYBODY).await;
        // And all goes on: numbers after the crash are greater than those before.
        payments(&town).await;
        town.all_delivered().await;
        town.check(&EVERYBODY).await;
        town.kill();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn i4_messages_are_applied_once_whatever_is_lost(
        cuts in proptest::collection::vec((1u64..60, 0usize..6), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let begun = Instant::now();
            let mut records = Vec::new();
            for (after_ms, lost) in cuts {
                let town = Town::over(records, SYNC, begun);
                *town.weather.lock() = Weather::Bad;
                let running = Duration::from_millis(after_ms);
                // The crash comes in the middle; what nobody was told may be lost or not.
                let _ = tokio::time::timeout(running, payments(&town)).await;
                tokio::time::sleep(running).await;
                town.kill();
                let durable = town.disk.after_power_cut().records().len();
                records = town.disk.records();
                let kept = records.len().saturating_sub(lost).max(durable);
                records.truncate(kept);
            }
            let town = Town::over(records, SYNC, begun);
            payments(&town).await;
            town.all_delivered().await;
            town.check(&EVERYBODY).await;
            town.kill();
        });
    }
}

#[tokio::test(start_paused = true)]
async fn i4_once_although_no_answer_comes_for_longer_than_calls_are_remembered() {
    let town = Town::new();
    *town.weather.lock() = Weather::NoAnswers;
    town.account("anna").pay("bert".into(), 5).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2 * CALL_RETENTION_MS)).await;
    // The receiver goes on, and forgets the call.
    town.account("bert").touch().await.unwrap();
    assert_eq!(town.account("bert").books().await.unwrap().0, 5);
    // A long outage may well end with another owner.
    let town = town.crash();
    town.account("anna").pay("bert".into(), 1).await.unwrap();
    town.all_delivered().await;
    town.check(&["anna", "bert"]).await;
    assert_eq!(town.account("bert").books().await.unwrap().0, 6);
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_as_long_as_its_target_is_away() {
    let town = Town::new();
    *town.weather.lock() = Weather::NothingArrives;
    town.account("anna").pay("bert".into(), 5).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(town.rows(Space::OUTBOX).await.len(), 1);
    assert!(town.engine.list_dead_letters(9).await.0.is_empty());
    *town.weather.lock() = Weather::Fine;
    town.all_delivered().await;
    town.check(&["anna", "bert"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_sends_nothing_and_a_turn_without_a_commit_cannot() {
    let town = Town::new();
    town.account("anna").pay_then_fail("bert".into()).await.unwrap_err();
    assert!(town.rows(Space::OUTBOX).await.is_empty());
    let Err(CallError::App(error)) = town.account("anna").pay_while_reading("bert".into()).await else {
        panic!("a reading turn cannot send reliably")
    };
    assert!(error.message.contains("use a `&mut self` method of a durable type"), "{error}");
    town.account("anna").pay("bert".into(), 1).await.unwrap();
    town.all_delivered().await;
    town.check(&["anna", "bert"]).await;
}
