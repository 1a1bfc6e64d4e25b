//! What a function must keep to, and what it is told if it does not.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use greenroom::workflow::WorkflowState;
use greenroom::{Flow, Result};
use greenroom_macros::workflow;

use crate::shop::{Book, Shop};

/// Gives back its input.
#[workflow(retention = "1m")]
async fn echo(flow: Flow, text: String) -> Result<String> {
    assert_eq!(flow.key(), "x");
    flow.step("note", |by| by.actor::<Book>("a").add(text.clone())).await?;
    Ok(text)
}

#[tokio::test(start_paused = true)]
async fn the_same_input_is_the_same_workflow_and_another_one_is_an_error() {
    let shop = Shop::open(|engine| engine.workflow::<echo>());
    let one = shop.workflow::<echo>("x");
    assert!(one.result().await.unwrap_err().to_string().contains("has not been started"));
    assert_eq!(one.run("one".into()).await.unwrap(), "one");
    assert_eq!(one.run("one".into()).await.unwrap(), "one");
    let error = one.start("two".into()).await.unwrap_err().to_string();
    assert!(error.contains("started with another input before"), "{error}");
    assert_eq!(shop.lines("a").await, ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_kept_for_its_retention_and_then_the_key_is_free() {
    let shop = Shop::open(|engine| engine.workflow::<echo>());
    let one = shop.workflow::<echo>("x");
    one.run("one".into()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(one.result().await.unwrap(), "one");
    tokio::time::sleep(Duration::from_secs(12)).await;
    let status = one.status().await.unwrap();
    assert_eq!((status.state, status.steps.len()), (WorkflowState::NotStarted, 0));
    assert_eq!(one.run("two".into()).await.unwrap(), "two");
    // It is another workflow: its steps are others.
    assert_eq!(shop.lines("a").await, ["one", "two"]);
}

/// Says one thing twice.
#[workflow]
async fn twice(flow: Flow) -> Result<()> {
    flow.step("a", |by| by.actor::<Book>("a").add("a".into())).await?;
    flow.step("a", |by| by.actor::<Book>("a").add("b".into())).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_used_twice_is_named() {
    let shop = Shop::open(|engine| engine.workflow::<twice>());
    shop.workflow::<twice>("x").start(()).await.unwrap();
    let status = shop.status_when::<twice>("x", |status| status.trouble.is_some()).await;
    assert!(status.trouble.unwrap().contains("the step \"a\" is used twice in one run"));
    // What cannot go on can be cancelled.
    shop.workflow::<twice>("x").cancel().await.unwrap();
    shop.when::<twice>("x", WorkflowState::Cancelled).await;
    assert_eq!(shop.lines("a").await, ["a"]);
}

/// The function as it was.
#[workflow(name = "order")]
async fn order_1(flow: Flow) -> Result<()> {
    flow.step("first", |by| by.actor::<Book>("a").add("first".into())).await?;
    flow.step("second", |by| by.actor::<Book>("a").add("second".into())).await?;
    flow.wait_for::<()>("go").await?;
    Ok(())
}

/// Steps were taken out, put in, and put in another order.
#[workflow(name = "order")]
async fn order_2(flow: Flow) -> Result<()> {
    flow.step("new", |by| by.actor::<Book>("a").add("new".into())).await?;
    flow.step("second", |by| by.actor::<Book>("a").add("again?".into())).await?;
    flow.wait_for::<()>("go").await?;
    Ok(())
}

/// A step has become something else.
#[workflow(name = "order")]
async fn order_3(flow: Flow) -> Result<()> {
    flow.sleep("first", Duration::from_secs(1)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn new_code_gets_what_was_recorded_by_name_and_unused_steps_are_kept_and_shown() {
    let shop = Shop::open(|engine| engine.workflow::<order_1>());
    shop.workflow::<order_1>("x").start(()).await.unwrap();
    shop.status_when::<order_1>("x", |status| status.steps.len() == 2).await;

    let shop = shop.crash(|engine| engine.workflow::<order_3>());
    let status = shop.status_when::<order_3>("x", |status| status.trouble.is_some()).await;
    assert!(
        status.trouble.unwrap().contains("\"first\" is recorded as a step, and the function asks for a wait")
    );

    let shop = shop.crash(|engine| engine.workflow::<order_2>());
    shop.workflow::<order_2>("x").signal("go", &()).await.unwrap();
    shop.workflow::<order_2>("x").result().await.unwrap();
    assert_eq!(shop.lines("a").await, ["first", "second", "new"]);
    let status = shop.workflow::<order_2>("x").status().await.unwrap();
    let steps: Vec<_> = status.steps.iter().map(|step| (&*step.name, step.unused)).collect();
    assert_eq!(steps, [("first", true), ("second", false), ("new", false)]);
}

static PANICS: AtomicU32 = AtomicU32::new(0);

/// Panics three times, in a step and beside one.
#[workflow]
async fn shaky(flow: Flow) -> Result<()> {
    flow.step("first", |by| by.actor::<Book>("a").add("first".into())).await?;
    assert!(PANICS.fetch_add(1, Ordering::SeqCst) >= 2, "not yet");
    flow.run("second", async |_| assert!(PANICS.fetch_add(1, Ordering::SeqCst) >= 4, "still not")).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_is_begun_again_behind_its_checkpoints() {
    let shop = Shop::open(|engine| engine.workflow::<shaky>());
    shop.workflow::<shaky>("x").start(()).await.unwrap();
    let status = shop.status_when::<shaky>("x", |status| status.trouble.is_some()).await;
    assert!(status.trouble.unwrap().contains("the function panicked"));
    shop.workflow::<shaky>("x").result().await.unwrap();
    assert_eq!(shop.lines("a").await, ["first"]);
    assert!(PANICS.load(Ordering::SeqCst) >= 5);
}

/// Calls an actor that is away at first.
#[workflow]
async fn stubborn(flow: Flow) -> Result<String> {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    let few = flow.attempts(2).step("few", async |_| away()).await;
    flow.step("many", async |by| match TRIES.fetch_add(1, Ordering::SeqCst) {
        0..7 => away(),
        _ => Ok(by.actor::<Book>("a").add("there".into()).await.unwrap()),
    })
    .await?;
    Ok(few.unwrap_err().kind().into())
}

fn away() -> Result<usize, greenroom::CallError> {
    Err(greenroom::CallError::Unavailable("away".into()))
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_actor_is_away_is_tried_again_or_so_often_as_it_says() {
    let shop = Shop::open(|engine| engine.workflow::<stubborn>());
    shop.workflow::<stubborn>("x").start(()).await.unwrap();
    let status = shop.status_when::<stubborn>("x", |status| {
        status.running.iter().any(|step| step.name == "many" && step.failures > 2)
    });
    assert_eq!(status.await.running[0].last_error.as_deref(), Some("unavailable: away"));
    assert_eq!(shop.workflow::<stubborn>("x").result().await.unwrap(), "unavailable");
    assert_eq!(shop.lines("a").await, ["there"]);
}
