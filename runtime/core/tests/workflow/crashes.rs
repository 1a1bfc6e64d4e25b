//! Crashes at every record, and runs that were overtaken.

use std::time::Duration;

use futures_util::join;
use greenroom::rows::Space;
use greenroom::workflow::{NoResult, WorkflowState};
use greenroom::{AppError, Flow, Result};
use greenroom_macros::workflow;
use tokio::time::timeout;

use crate::shop::{Book, Shop};

/// Every kind of checkpoint, one after the other and two at a time.
#[workflow]
async fn tour(flow: Flow, name: String) -> Result<String> {
    flow.compensate("never", |by| by.actor::<Book>("a").add("undone".into()));
    let first = flow.step("first", |by| by.actor::<Book>("a").add("first".into())).await?;
    let (left, right) = join!(
        flow.step("left", |by| by.actor::<Book>("a").add("left".into())),
        flow.step("right", |by| by.actor::<Book>("b").add("right".into())),
    );
    let places = (left? - first, right?);
    flow.send("sent", |by| by.actor::<Book>("b").add("sent".into())).await?;
    flow.sleep("pause", Duration::from_millis(50)).await;
    let refused = flow.step("refused", |by| by.actor::<Book>("a").refuse(name.clone())).await;
    let silence = flow.timeout("patience", Duration::from_millis(50), flow.wait_for::<String>("call")).await;
    // One step, several calls: their ids differ.
    let twice = async |by: greenroom::Step| {
        by.actor::<Book>("b").add("second".into()).await?;
        by.actor::<Book>("b").add("third".into()).await
    };
    flow.step("twice", twice).await?;
    Ok(format!("{places:?} {} {}", refused.unwrap_err(), silence.is_err()))
}

const RESULT: &str = "(1, 1) no cake true";

async fn check(shop: &Shop) {
    assert_eq!(shop.lines("a").await, ["first", "left"]);
    let mut lines = shop.lines("b").await;
    lines.sort();
    assert_eq!(lines, ["right", "second", "sent", "third"]);
}

#[tokio::test(start_paused = true)]
async fn i4_a_workflow_ends_with_each_effect_once_after_a_crash_at_any_record() {
    let shop = Shop::open(|engine| engine.workflow::<tour>());
    assert_eq!(shop.workflow::<tour>("x").run("cake".into()).await.unwrap(), RESULT);
    tokio::time::sleep(Duration::from_secs(1)).await;
    check(&shop).await;
    let disk = shop.node.disk.clone();
    drop(shop);
    assert!(disk.commits() > 15, "{}", disk.commits());
    for kept in 0..=disk.len() {
        let shop = Shop::over(disk.after_crash(kept), |engine| engine.workflow::<tour>());
        // Whoever started it and had no answer starts it again.
        let result = timeout(Duration::from_secs(60), shop.workflow::<tour>("x").run("cake".into())).await;
        assert_eq!(result.unwrap().unwrap(), RESULT, "{kept}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        check(&shop).await;
        let status = shop.workflow::<tour>("x").status().await.unwrap();
        assert_eq!(status.state, WorkflowState::Completed);
        assert!(status.steps.iter().all(|step| !step.unused), "{status:?}");
    }
}

/// Goes wrong in the end, so that everything is undone.
#[workflow]
async fn doomed(flow: Flow) -> Result<()> {
    for number in 0..3 {
        let undo = format!("undo {number}");
        flow.step(format!("do {number}"), |by| by.actor::<Book>("a").add(format!("do {number}"))).await?;
        flow.compensate(format!("undo {number}"), move |by| by.actor::<Book>("a").add(undo.clone()));
    }
    flow.step("wrong", |by| by.actor::<Book>("b").refuse("wrong".into())).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_undone_once_and_backwards_after_a_crash_at_any_record() {
    let expected = ["do 0", "do 1", "do 2", "undo 2", "undo 1", "undo 0"];
    let failed = NoResult::Failed(AppError::new("no wrong"));
    let shop = Shop::open(|engine| engine.workflow::<doomed>());
    assert_eq!(shop.workflow::<doomed>("x").run(()).await, Err(failed.clone()));
    assert_eq!(shop.lines("a").await, expected);
    let disk = shop.node.disk.clone();
    drop(shop);
    for kept in 0..=disk.len() {
        let shop = Shop::over(disk.after_crash(kept), |engine| engine.workflow::<doomed>());
        let result = timeout(Duration::from_secs(60), shop.workflow::<doomed>("x").run(())).await;
        assert_eq!(result.unwrap(), Err(failed.clone()), "{kept}");
        assert_eq!(shop.lines("a").await, expected, "{kept}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_before_its_record_is_durable() {
    let shop = Shop::slow(|engine| engine.workflow::<doomed>());
    let workflow = shop.workflow::<doomed>("x");
    let starting = tokio::spawn(async move { workflow.start(()).await });
    let commits = async |wanted: usize| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(shop.node.disk.commits(), wanted);
    };
    // The start; and nothing runs before it is durable.
    commits(1).await;
    shop.node.sync();
    // The first step's call.
    commits(2).await;
    assert!(starting.is_finished());
    shop.node.sync();
    // Its record; the second step has not begun.
    commits(3).await;
    shop.node.sync();
    commits(4).await;
}

/// Sends one message.
#[workflow]
async fn letter(flow: Flow) -> Result<()> {
    flow.send("sent", |by| by.actor::<Book>("b").add("sent".into())).await?;
    Ok(())
}

/// A run asks its actor again when it has no answer. The receiver would know the message by its call's id, but not for ever.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_asked_for_again_because_the_disk_is_slow_stays_the_first_and_sends_one_message()
{
    let shop = Shop::slow(|engine| engine.workflow::<letter>());
    let workflow = shop.workflow::<letter>("x");
    let running = tokio::spawn(async move { workflow.run(()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    shop.node.sync();
    tokio::time::sleep(Duration::from_secs(25)).await;
    shop.node.sync_always();
    running.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shop.lines("b").await, ["sent"]);
    let records = shop.node.disk.records();
    let sent = records
        .iter()
        .flat_map(|record| record.rows())
        .filter(|row| row.space == Space::OUTBOX && row.value.is_some());
    assert_eq!(sent.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_overtaken_records_nothing() {
    let shop = Shop::open(|engine| engine.workflow::<sleeper>());
    shop.workflow::<sleeper>("x").start(()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stale = |epoch: u64, number: u64| {
        let by = format!(r#"{{"epoch":{epoch},"number":{number}}}"#);
        let act = r#"{"Record":{"name":"forged","checkpoint":"Sent","message":null}}"#;
        format!(r#"{{"wish":{{"Run":[{by},{act}]}}}}"#)
    };
    for (epoch, number) in [(1, 1), (2, 0), (0, 0)] {
        let refused = shop.node.call_json("sleeper/x", "@change", &stale(epoch, number)).await;
        assert!(format!("{refused:?}").contains("stale"), "{epoch} {number}: {refused:?}");
    }
    // The current one can.
    shop.node.call_json("sleeper/x", "@change", &stale(1, 0)).await.unwrap();
    let status = shop.workflow::<sleeper>("x").status().await.unwrap();
    assert_eq!(status.steps.iter().map(|step| &*step.name).collect::<Vec<_>>(), ["long", "forged"]);
}

/// Sleeps.
#[workflow]
async fn sleeper(flow: Flow) {
    flow.sleep("long", Duration::from_mins(5)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_to_run_behind_the_end() {
    let shop = Shop::open(|engine| engine.workflow::<sleeper>().workflow::<doomed>());
    let _ = shop.workflow::<doomed>("x").run(()).await;
    shop.workflow::<sleeper>("x").run(()).await.unwrap();
    let left = shop.node.rows(Space::WORKFLOW).await;
    assert!(left.is_empty(), "{left:?}");
    // Only what ends the retention.
    assert_eq!(shop.node.rows(Space::REMINDER).await.len(), 2);
}
