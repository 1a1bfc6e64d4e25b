//! Times, signals and timeouts.

use std::time::Duration;

use greenroom::workflow::WorkflowState;
use greenroom::{Flow, Result};
use greenroom_macros::workflow;
use tokio::time::Instant;

use crate::shop::{Book, Shop};

/// Sleeps for longer than it stays in memory.
#[workflow]
async fn nap(flow: Flow) -> Result<()> {
    flow.step("before", |by| by.actor::<Book>("a").add("before".into())).await?;
    flow.sleep("nap", Duration::from_mins(3)).await;
    flow.step("after", |by| by.actor::<Book>("a").add("after".into())).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_long_sleep_leaves_memory_writes_nothing_and_ends_on_time_over_a_restart() {
    let begun = Instant::now();
    let shop = Shop::open(|engine| engine.workflow::<nap>());
    shop.workflow::<nap>("x").start(()).await.unwrap();
    shop.when::<nap>("x", WorkflowState::Suspended).await;
    let records = shop.node.disk.len();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(shop.node.disk.len(), records);

    let shop = shop.crash(|engine| engine.workflow::<nap>());
    assert_eq!(shop.workflow::<nap>("x").status().await.unwrap().state, WorkflowState::Suspended);
    shop.workflow::<nap>("x").result().await.unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_mins(3) && took < Duration::from_secs(185), "{took:?}");
    assert_eq!(shop.lines("a").await, ["before", "after"]);
}

/// Sleeps for a while.
#[workflow]
async fn doze(flow: Flow) -> Result<()> {
    flow.sleep("doze", Duration::from_secs(6)).await;
    Ok(())
}

/// Who waits for a result is told when it is there, and asks nothing meanwhile; also if the workflow has moved.
#[tokio::test(start_paused = true)]
async fn a_result_comes_when_it_is_there_and_nobody_asks_for_it_before() {
    for moves in [false, true] {
        let shop = Shop::open(|engine| engine.workflow::<doze>());
        let doze = shop.workflow::<doze>("x");
        doze.start(()).await.unwrap();
        let waiting = tokio::spawn(async move {
            doze.result().await.unwrap();
            Instant::now()
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        if moves {
            shop.node.move_all();
        }
        let told = waiting.await.unwrap();
        let status = shop.workflow::<doze>("x").status().await.unwrap();
        let since = shop.node.engine.env().unix_ms() - status.ended_unix_ms.unwrap();
        let late = Duration::from_millis(since).saturating_sub(told.elapsed());
        assert!(late < Duration::from_millis(50), "{late:?}");
        let types = shop.node.engine.types();
        let methods = &types.iter().find(|info| info.name == "doze").unwrap().methods;
        let calls = |name| methods.iter().find(|method| method.name == name).unwrap().calls;
        assert_eq!((calls("outcome"), calls("when_ended")), (1, 1 + u64::from(moves)));
    }
}

/// Collects signals.
#[workflow]
async fn listener(flow: Flow, count: usize) -> Result<Vec<u32>> {
    let mut heard = Vec::new();
    for _ in 0..count {
        heard.push(flow.wait_for("number").await?);
    }
    Ok(heard)
}

#[tokio::test(start_paused = true)]
async fn signals_come_in_their_order_whether_early_late_or_over_a_crash() {
    let shop = Shop::open(|engine| engine.workflow::<listener>());
    let ears = shop.workflow::<listener>("x");
    assert!(ears.signal("number", &0).await.unwrap_err().to_string().contains("has not been started"));
    ears.start(4).await.unwrap();
    ears.signal("number", &1).await.unwrap();
    ears.signal("other", &9).await.unwrap();
    shop.when::<listener>("x", WorkflowState::Suspended).await;
    ears.signal("number", &2).await.unwrap();
    let shop = shop.crash(|engine| engine.workflow::<listener>());
    let ears = shop.workflow::<listener>("x");
    ears.signal("number", &3).await.unwrap();
    // By name, as from a script.
    let four = r#"{"name":"number","value":4}"#;
    shop.node.call_json("listener/x", "signal", four).await.unwrap();
    assert_eq!(ears.result().await.unwrap(), [1, 2, 3, 4]);
    assert!(ears.signal("number", &5).await.unwrap_err().to_string().contains("has ended"));
}

/// Does something, and then waits for a signal.
#[workflow]
async fn sentry(flow: Flow) -> Result<u32> {
    flow.step("post", |by| by.actor::<Book>("a").add("post".into())).await?;
    Ok(flow.wait_for("number").await?)
}

/// The function is about to leave memory (it looks every 10 s whether it only waits), and its actor is busy: the signal
/// comes into the mailbox first, the suspension behind it.
#[tokio::test(start_paused = true)]
async fn a_signal_that_comes_just_before_a_suspension_is_not_slept_through() {
    for look in [Duration::from_secs(10), Duration::from_secs(20)] {
        let shop = Shop::open(|engine| engine.workflow::<sentry>());
        let post = shop.workflow::<sentry>("x");
        post.start(()).await.unwrap();
        tokio::time::sleep(look - Duration::from_millis(500)).await;
        shop.node.disk.set_read_time(Duration::from_secs(1));
        let (status, signal) = (post.status(), post.signal("number", &7));
        let (status, signal) = tokio::join!(status, signal);
        assert_eq!(status.unwrap().state, WorkflowState::Running);
        signal.unwrap();
        shop.node.disk.set_read_time(Duration::ZERO);
        let heard = tokio::time::timeout(Duration::from_mins(1), post.result()).await;
        assert_eq!(heard.expect("the signal is heard").unwrap(), 7, "{look:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_of_another_type_is_an_error_of_the_function() {
    let shop = Shop::open(|engine| engine.workflow::<listener>());
    let ears = shop.workflow::<listener>("x");
    ears.start(1).await.unwrap();
    ears.signal("number", "one").await.unwrap();
    let error = ears.result().await.unwrap_err().to_string();
    assert!(error.contains("the signal \"number\" cannot be read"), "{error}");
}

/// Waits a while, and then does something else.
#[workflow]
async fn patient(flow: Flow) -> Result<String> {
    let answer = flow.timeout("patience", Duration::from_mins(1), flow.wait_for::<String>("answer")).await;
    flow.step("rest", |by| by.actor::<Book>("a").add("rest".into())).await?;
    flow.sleep("nap", Duration::from_secs(5)).await;
    Ok(match answer {
        Ok(answer) => answer?,
        Err(elapsed) => elapsed.to_string(),
    })
}

#[tokio::test(start_paused = true)]
async fn what_came_first_stays_first_when_the_function_runs_again() {
    let shop = Shop::open(|engine| engine.workflow::<patient>());
    shop.workflow::<patient>("late").start(()).await.unwrap();
    shop.workflow::<patient>("early").start(()).await.unwrap();
    shop.workflow::<patient>("early").signal("answer", "yes").await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    shop.workflow::<patient>("late").signal("answer", "too late").await.unwrap();
    let shop = shop.crash(|engine| engine.workflow::<patient>());
    assert_eq!(shop.workflow::<patient>("early").result().await.unwrap(), "yes");
    assert_eq!(shop.workflow::<patient>("late").result().await.unwrap(), "it did not come in time");
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_came_in_time_counts_although_the_node_was_away_when_the_time_was_over() {
    let shop = Shop::open(|engine| engine.workflow::<patient>());
    shop.workflow::<patient>("x").start(()).await.unwrap();
    shop.when::<patient>("x", WorkflowState::Suspended).await;
    shop.workflow::<patient>("x").signal("answer", "yes").await.unwrap();
    // Down at once: the signal is durable, and the function has not seen it.
    let disk = shop.node.disk.after_power_cut();
    drop(shop);
    tokio::time::sleep(Duration::from_mins(2)).await;
    // However long it takes to read it.
    for read_time in [Duration::ZERO, Duration::from_secs(1)] {
        let shop = Shop::over(disk.after_crash(disk.len()), |engine| engine.workflow::<patient>());
        shop.node.disk.set_read_time(read_time);
        assert_eq!(shop.workflow::<patient>("x").result().await.unwrap(), "yes", "{read_time:?}");
    }
}
