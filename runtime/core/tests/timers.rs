//! The promises of timers and ticks: turns of their own, in the activation that set them, and never piled up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::{AppError, Cx, Result, Ticks, Timer};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::time::{Instant, sleep};

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", volatile, idle_timeout = "5s")]
struct Bell {
    rung: Vec<u32>,
    frames: usize,
    #[serde(skip)]
    began: Option<Instant>,
    #[serde(skip)]
    at_ms: Vec<u64>,
    #[serde(skip)]
    timer: Option<Timer>,
    #[serde(skip)]
    ticks: Option<Ticks>,
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Mill {
    turned: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Mill {
    #[on_activate]
    async fn start(&mut self, cx: &Cx) -> Result<()> {
        let me = cx.actor::<Mill>(cx.key());
        cx.ticks(10.0, me.turn(1))?;
        cx.timer_every(Duration::from_millis(100), me.turn(1000))?;
        Ok(())
    }

    async fn turn(&mut self, by: u32) {
        self.turned += by;
    }

    async fn fail(&mut self) -> Result<()> {
        self.turned = 0;
        Err(AppError::new("no"))
    }

    async fn turned(&self) -> u32 {
        self.turned
    }
}

#[actor_methods(crate = "greenroom_core")]
impl Bell {
    async fn after(&mut self, cx: &Cx, ms: u64, number: u32) -> Result<()> {
        self.began.get_or_insert(Instant::now());
        self.timer = Some(cx.timer(Duration::from_millis(ms), cx.actor::<Bell>(cx.key()).ring(number))?);
        Ok(())
    }

    async fn every(&mut self, cx: &Cx, ms: u64, number: u32) -> Result<()> {
        self.began.get_or_insert(Instant::now());
        self.timer =
            Some(cx.timer_every(Duration::from_millis(ms), cx.actor::<Bell>(cx.key()).ring(number))?);
        Ok(())
    }

    async fn after_then_fail(&mut self, cx: &Cx) -> Result<()> {
        cx.timer(Duration::ZERO, cx.actor::<Bell>(cx.key()).ring(1))?;
        Err(AppError::new("no"))
    }

    async fn tick_at(&mut self, cx: &Cx, hz: f64) -> Result<()> {
        self.began.get_or_insert(Instant::now());
        self.ticks = Some(cx.ticks(hz, cx.actor::<Bell>(cx.key()).ring(0))?);
        Ok(())
    }

    async fn ring(&mut self, cx: &Cx, number: u32) {
        self.rung.push(number);
        self.frames += cx.chain().frames().count();
        self.at_ms.push(self.began.map_or(0, |began| began.elapsed().as_millis() as u64));
        if number == 13 {
            self.timer.take().unwrap().cancel();
            tokio::task::yield_now().await;
            self.rung.push(14);
        }
        if number == 99 {
            panic!("on purpose");
        }
    }

    async fn cancel(&mut self) {
        if let Some(timer) = &self.timer {
            timer.cancel();
        }
        if let Some(ticks) = &self.ticks {
            ticks.stop();
        }
    }

    async fn work(&mut self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }

    async fn rung(&self) -> Vec<u32> {
        self.rung.clone()
    }

    async fn at_ms(&self) -> Vec<u64> {
        self.at_ms.clone()
    }

    async fn frames(&self) -> usize {
        self.frames
    }

    async fn skipped(&self, cx: &Cx) -> u64 {
        assert_eq!(cx.skipped_ticks(), self.ticks.as_ref().map_or(0, Ticks::skipped));
        cx.skipped_ticks()
    }

    async fn wrong(&self, cx: &Cx, which: String) -> Result<()> {
        let me = cx.actor::<Bell>(cx.key());
        match which.as_str() {
            "other" => drop(cx.timer(Duration::ZERO, cx.actor::<Bell>("other").ring(1))?),
            "often" => drop(cx.timer_every(Duration::ZERO, me.ring(1))?),
            "rate" => drop(cx.ticks(0.0, me.ring(1))?),
            _ => unreachable!(),
        }
        Ok(())
    }
}

fn node() -> Arc<Node> {
    let node = Arc::new(Node::new::<Bell>());
    node.sync_always();
    node
}

async fn wait(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_a_turn_of_its_own() {
    let node = node();
    let bell = node.actor::<Bell>("a");
    bell.after(1_000, 1).await.unwrap();
    bell.after(500, 2).await.unwrap();
    wait(400).await;
    assert!(bell.rung().await.unwrap().is_empty());
    wait(200).await;
    assert_eq!(bell.rung().await.unwrap(), [2]);
    wait(600).await;
    assert_eq!(bell.rung().await.unwrap(), [2, 1]);
    assert_eq!(bell.frames().await.unwrap(), 0, "nobody waits for a timer's turn");
    wait(60_000).await;
    assert!(bell.rung().await.unwrap().is_empty(), "timers do not keep an actor in memory");
}

#[tokio::test(start_paused = true)]
async fn a_period_is_kept_and_what_comes_too_late_is_left_out() {
    let node = node();
    let bell = node.actor::<Bell>("a");
    bell.every(100, 1).await.unwrap();
    wait(1_050).await;
    assert_eq!(bell.rung().await.unwrap().len(), 10);
    bell.work(1_000).await.unwrap();
    wait(500).await;
    // One waited for the work to end; the others did not queue up behind it.
    let rung = bell.rung().await.unwrap().len();
    assert!((15..=16).contains(&rung), "{rung}");
    // A panic does not end it.
    bell.every(100, 99).await.unwrap();
    wait(350).await;
    assert!(bell.rung().await.unwrap().len() > rung);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_timer_does_not_ring_and_a_turn_can_cancel_its_own() {
    let node = node();
    let bell = node.actor::<Bell>("a");
    bell.after(100, 1).await.unwrap();
    // It is due while this turn runs, and waits in the mailbox; then it is cancelled before its turn comes.
    let (_, cancelled) = tokio::join!(bell.work(200), bell.cancel());
    cancelled.unwrap();
    wait(1_000).await;
    assert!(bell.rung().await.unwrap().is_empty());

    bell.every(100, 13).await.unwrap();
    wait(1_000).await;
    assert_eq!(bell.rung().await.unwrap(), [13, 14], "a turn that cancels its timer goes on to its end");
}

#[tokio::test(start_paused = true)]
async fn a_timer_ends_with_its_activation() {
    let node = node();
    let bell = node.actor::<Bell>("a");
    bell.every(1_000, 1).await.unwrap();
    bell.tick_at(10.0).await.unwrap();
    wait(1_500).await;
    let id = "Bell/a".parse().unwrap();
    assert!(node.engine.deactivate(&id).await);
    wait(5_000).await;
    assert!(node.engine.placement(&id).is_none(), "a timer brought the actor back");
    assert_eq!(node.engine.tick_stats().tickers, 0);
    // Nor does it find its way into the next one.
    assert!(bell.rung().await.unwrap().is_empty());
    wait(1_500).await;
    assert!(bell.rung().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_sets_no_timer_and_what_is_wrong_is_refused() {
    let node = node();
    let bell = node.actor::<Bell>("a");
    assert!(bell.after_then_fail().await.is_err());
    wait(1_000).await;
    assert!(bell.rung().await.unwrap().is_empty());
    let refused = async |which: &str| bell.wrong(which.into()).await.unwrap_err().to_string();
    assert!(refused("other").await.contains("a timer of Bell/a cannot call Bell/other"));
    assert!(refused("often").await.contains("a timer every 0ns is too often: at least 1ms"));
    assert!(refused("rate").await.contains("0 ticks a second: use 0.01 to 1000"));
}

#[tokio::test(start_paused = true)]
async fn ticks_come_at_their_rate_and_keep_the_actor_in_memory() {
    let node = node();
    let bell = node.actor::<Bell>("a");
    bell.tick_at(30.0).await.unwrap();
    wait(20_000).await;
    // Longer than the idle timeout, and nobody called.
    let rung = bell.rung().await.unwrap().len();
    assert!((599..=601).contains(&rung), "{rung}");
    let at = bell.at_ms().await.unwrap();
    let gaps: Vec<_> = at.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| (30..=37).contains(gap)), "{gaps:?}");
    assert_eq!(bell.skipped().await.unwrap(), 0);
    bell.cancel().await.unwrap();
    wait(1_000).await;
    let stopped = bell.rung().await.unwrap().len();
    assert!(stopped <= rung + 1);
    assert_eq!(node.engine.tick_stats().tickers, 0);
}

#[tokio::test(start_paused = true)]
async fn what_an_activation_begins_anew_is_replaced() {
    let node = Arc::new(Node::new::<Mill>());
    node.sync_always();
    let mill = node.actor::<Mill>("a");
    for _ in 0..5 {
        // The next turn finds `#[on_activate]` run again.
        assert!(mill.fail().await.is_err());
        mill.turned().await.unwrap();
    }
    let before = mill.turned().await.unwrap();
    wait(1_050).await;
    let turned = mill.turned().await.unwrap() - before;
    assert!((9..=11).contains(&(turned % 1000)) && (9..=11).contains(&(turned / 1000)), "{turned}");
    assert_eq!(node.engine.tick_stats().tickers, 1);
}

#[tokio::test(start_paused = true)]
async fn ticks_that_cannot_be_taken_in_time_are_skipped_and_counted() {
    let node = node();
    let bell = node.actor::<Bell>("a");
    bell.tick_at(10.0).await.unwrap();
    wait(1_000).await;
    bell.work(2_000).await.unwrap();
    wait(1_000).await;
    let (after, skipped) = (bell.rung().await.unwrap().len() as u64, bell.skipped().await.unwrap());
    assert!((18..=20).contains(&skipped), "{skipped}");
    assert!((38..=41).contains(&(after + skipped)), "{after} {skipped}");
    assert_eq!(node.engine.tick_stats().skipped, skipped);
}

#[tokio::test(start_paused = true)]
async fn the_ticks_of_many_actors_are_spread_over_the_period() {
    let node = node();
    let begun = Instant::now();
    for n in 0..500 {
        node.actor::<Bell>(&format!("many-{n}")).tick_at(10.0).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    wait(1_000).await;
    let mut by_phase = BTreeMap::<u64, usize>::new();
    for n in 0..500 {
        let at = node.actor::<Bell>(&format!("many-{n}")).at_ms().await.unwrap();
        assert!((9..=11).contains(&at.len()));
        *by_phase.entry(at.last().unwrap() % 100 / 10).or_default() += 1;
    }
    assert_eq!(by_phase.len(), 10);
    assert!(by_phase.values().all(|n| (25..=75).contains(n)), "{by_phase:?}");
}
