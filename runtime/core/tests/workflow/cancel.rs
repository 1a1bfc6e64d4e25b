//! Cancelling.

use std::time::Duration;

use greenroom::workflow::{NoResult, WorkflowState};
use greenroom::{Flow, Result};
use greenroom_macros::workflow;
use tokio::time::timeout;

use crate::shop::{Book, Shop};

/// Does two things and waits.
#[workflow]
async fn errand(flow: Flow) -> Result<()> {
    for number in 1..=3 {
        let undo = format!("undo {number}");
        flow.step(format!("do {number}"), |by| by.actor::<Book>("a").add(format!("do {number}"))).await?;
        flow.compensate(format!("undo {number}"), move |by| by.actor::<Book>("a").add(undo.clone()));
        if number == 2 {
            flow.wait_for::<()>("go").await?;
        }
    }
    Ok(())
}

const CANCELLED: [&str; 4] = ["do 1", "do 2", "undo 2", "undo 1"];

#[tokio::test(start_paused = true)]
async fn a_cancelled_workflow_undoes_what_it_has_done_after_a_crash_at_any_record() {
    let shop = Shop::open(|engine| engine.workflow::<errand>());
    let going = shop.workflow::<errand>("x");
    going.start(()).await.unwrap();
    shop.status_when::<errand>("x", |status| status.steps.len() == 2).await;
    going.cancel().await.unwrap();
    assert_eq!(going.result().await, Err(NoResult::Cancelled));
    assert_eq!(shop.lines("a").await, CANCELLED);
    // Again, and too late: it stays as it ended.
    going.cancel().await.unwrap();
    assert_eq!(shop.workflow::<errand>("x").status().await.unwrap().state, WorkflowState::Cancelled);
    let disk = shop.node.disk.clone();
    drop((going, shop));
    for kept in 0..=disk.len() {
        let shop = Shop::over(disk.after_crash(kept), |engine| engine.workflow::<errand>());
        let going = shop.workflow::<errand>("x");
        going.start(()).await.unwrap();
        going.cancel().await.unwrap();
        let result = timeout(Duration::from_secs(60), going.result()).await.unwrap();
        assert_eq!(result, Err(NoResult::Cancelled), "{kept}");
        // It is cancelled wherever it is; all that it has done is undone.
        let lines = shop.lines("a").await;
        let (done, undone) = lines.split_at(lines.len() / 2);
        let expected: Vec<_> = done.iter().rev().map(|line| format!("un{line}")).collect();
        assert!(done.len() <= 2 && undone == expected, "{kept}: {lines:?}");
    }
}

/// Is in the middle of a step for so long.
#[workflow]
async fn slow(flow: Flow, seconds: u64) -> Result<()> {
    flow.run("slow", async |by| {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        by.actor::<Book>("a").add("slow".into()).await.unwrap();
    })
    .await;
    flow.compensate("undo slow", |by| by.actor::<Book>("a").add("undo slow".into()));
    flow.step("next", |by| by.actor::<Book>("a").add("next".into())).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_step_that_has_begun_is_finished_and_nothing_else_begins_also_after_a_crash() {
    let shop = Shop::open(|engine| engine.workflow::<slow>());
    shop.workflow::<slow>("x").start(20).await.unwrap();
    shop.status_when::<slow>("x", |status| !status.running.is_empty()).await;
    shop.workflow::<slow>("x").cancel().await.unwrap();
    assert_eq!(shop.when::<slow>("x", WorkflowState::Cancelling).await.running[0].name, "slow");
    let shop = shop.crash(|engine| engine.workflow::<slow>());
    assert_eq!(shop.workflow::<slow>("x").result().await, Err(NoResult::Cancelled));
    assert_eq!(shop.lines("a").await, ["slow", "undo slow"]);
}

/// When something is being undone the function has stopped for good: a later run begins no step where it stopped.
#[tokio::test(start_paused = true)]
async fn what_is_undone_is_not_followed_by_another_step_after_a_crash_at_any_record() {
    let shop = Shop::open(|engine| engine.workflow::<slow>());
    shop.workflow::<slow>("x").start(1).await.unwrap();
    shop.workflow::<slow>("x").cancel().await.unwrap();
    assert_eq!(shop.workflow::<slow>("x").result().await, Err(NoResult::Cancelled));
    let disk = shop.node.disk.clone();
    drop(shop);
    for kept in 0..=disk.len() {
        let shop = Shop::over(disk.after_crash(kept), |engine| engine.workflow::<slow>());
        let going = shop.workflow::<slow>("x");
        going.start(1).await.unwrap();
        going.cancel().await.unwrap();
        let result = timeout(Duration::from_mins(1), going.result()).await.unwrap();
        // A step may have begun before the crash: then it is finished, and was the last one.
        let expected = if result.is_ok() { ["slow", "next"] } else { ["slow", "undo slow"] };
        assert_eq!(shop.lines("a").await, expected, "{kept}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_is_out_of_memory_can_be_cancelled() {
    let shop = Shop::open(|engine| engine.workflow::<errand>());
    shop.workflow::<errand>("x").start(()).await.unwrap();
    shop.when::<errand>("x", WorkflowState::Suspended).await;
    shop.workflow::<errand>("x").cancel().await.unwrap();
    assert_eq!(shop.workflow::<errand>("x").result().await, Err(NoResult::Cancelled));
    assert_eq!(shop.lines("a").await, CANCELLED);
}
