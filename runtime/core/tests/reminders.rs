//! The promises of reminders: kept with the state, on time, each tick applied exactly once, and no harm to others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use greenroom_core::rows::{RowRange, Space, replay};
use greenroom_core::{ActorId, AppError, CallError, Cx, Missed, Result, Schedule};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::{Disk, Node};
use tokio::time::{Instant, sleep};

/// How many `slow` turns run, and the most that ever did.
static SLOW: AtomicUsize = AtomicUsize::new(0);
static SLOWEST: AtomicUsize = AtomicUsize::new(0);

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Clock {
    ticks: Vec<u32>,
    failing: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Clock {
    async fn every(&mut self, cx: &Cx, name: String, ms: u64, missed: String, number: u32) -> Result<()> {
        let schedule = Schedule::every(Duration::from_millis(ms)).missed(policy(&missed));
        Ok(cx.remind(&name, schedule, cx.actor::<Clock>(cx.key()).tick(number))?)
    }

    async fn after(&mut self, cx: &Cx, name: String, ms: u64, number: u32) -> Result<()> {
        let schedule = Schedule::after(Duration::from_millis(ms));
        Ok(cx.remind(&name, schedule, cx.actor::<Clock>(cx.key()).tick(number))?)
    }

    async fn after_then_fail(&mut self, cx: &Cx) -> Result<()> {
        cx.remind("never", Schedule::after(Duration::ZERO), cx.actor::<Clock>(cx.key()).tick(9))?;
        Err(AppError::new("no"))
    }

    async fn tick(&mut self, number: u32) -> Result<()> {
        self.ticks.push(number);
        if self.failing > 0 {
            return Err(AppError::new("not now"));
        }
        Ok(())
    }

    async fn set_failing(&mut self, failing: u32) {
        self.failing = failing;
    }

    async fn panic_after(&mut self, cx: &Cx, ms: u64) -> Result<()> {
        let schedule = Schedule::every(Duration::from_millis(ms));
        Ok(cx.remind("panic", schedule, cx.actor::<Clock>(cx.key()).panic())?)
    }

    async fn panic(&mut self) {
        panic!("on purpose");
    }

    /// Sets itself anew, for the same time, until it has ticked so often.
    async fn chase(&mut self, cx: &Cx, at_unix_ms: u64, until: u32) -> Result<()> {
        self.ticks.push(0);
        if self.ticks.len() < until as usize {
            let again = cx.actor::<Clock>(cx.key()).chase(at_unix_ms, until);
            cx.remind("chase", Schedule::once_at(at_unix_ms), again)?;
        }
        Ok(())
    }

    async fn slow_after(&mut self, cx: &Cx, at_unix_ms: u64) -> Result<()> {
        Ok(cx.remind("slow", Schedule::once_at(at_unix_ms), cx.actor::<Clock>(cx.key()).slow())?)
    }

    async fn slow(&mut self) {
        let now = SLOW.fetch_add(1, Ordering::SeqCst) + 1;
        SLOWEST.fetch_max(now, Ordering::SeqCst);
        sleep(Duration::from_millis(5)).await;
        SLOW.fetch_sub(1, Ordering::SeqCst);
        self.ticks.push(1);
    }

    async fn sleep(&mut self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }

    async fn forget(&mut self, cx: &Cx, name: String) -> Result<()> {
        Ok(cx.forget_reminder(&name)?)
    }

    async fn names_with(&mut self, cx: &Cx, name: String) -> Result<Vec<String>> {
        if !name.is_empty() {
            cx.remind(&name, Schedule::after(Duration::from_secs(9)), cx.actor::<Clock>(cx.key()).tick(1))?;
        }
        Ok(listing(cx).await?)
    }

    async fn names(&self, cx: &Cx) -> Result<Vec<String>> {
        Ok(listing(cx).await?)
    }

    async fn ticks(&self) -> Vec<u32> {
        self.ticks.clone()
    }

    async fn wrong(&mut self, cx: &Cx, which: String) -> Result<()> {
        let (me, soon) = (cx.actor::<Clock>(cx.key()), Schedule::after(Duration::ZERO));
        match which.as_str() {
            "other" => cx.remind("x", soon, cx.actor::<Clock>("other").tick(1))?,
            "reads" => cx.remind("x", soon, me.ticks())?,
            "name" => cx.remind("", soon, me.tick(1))?,
            "zone" => cx.remind("x", Schedule::cron("0 4 * * *", "Mars/Base"), me.tick(1))?,
            _ => unreachable!(),
        }
        Ok(())
    }

    async fn forget_reading(&self, cx: &Cx) -> Result<()> {
        Ok(cx.forget_reminder("x")?)
    }
}

async fn listing(cx: &Cx) -> Result<Vec<String>, CallError> {
    let show = |reminder: greenroom_core::Reminder| {
        let due = reminder.next_due_unix_ms - support::BEGINNING_UNIX_MS;
        format!("{} {} {due} {}", reminder.name, reminder.schedule, reminder.method)
    };
    Ok(cx.reminders().await?.into_iter().map(show).collect())
}

fn policy(missed: &str) -> Missed {
    match missed {
        "all" => Missed::All,
        "skip" => Missed::Skip,
        _ => Missed::Once,
    }
}

fn node() -> Arc<Node> {
    node_over(Arc::default())
}

fn node_over(disk: Arc<Disk>) -> Arc<Node> {
    let node = Arc::new(Node::over::<Clock>(disk));
    node.sync_always();
    node
}

/// A little more than so long, so that what is due then has happened.
async fn wait(ms: u64) {
    sleep(Duration::from_millis(ms + 50)).await;
}

/// Each reminder has exactly one row by due time, after each record of each shard.
fn assert_rows_agree(disk: &Disk) {
    #[derive(Deserialize)]
    struct Due {
        due: u64,
    }
    let records = disk.records();
    let shards: BTreeSet<_> = records.iter().map(|record| record.shard).collect();
    for shard in shards {
        let of_shard: Vec<_> = records.iter().filter(|record| record.shard == shard).collect();
        for end in 0..=of_shard.len() {
            let rows = |space| {
                let changes = of_shard[..end].iter().flat_map(|record| record.rows());
                replay(changes, &RowRange::all(space), usize::MAX)
            };
            let by_name: BTreeSet<Bytes> = rows(Space::REMINDER)
                .into_iter()
                .map(|(key, value)| {
                    let Due { due } = rmp_serde::from_slice(&value).unwrap();
                    [&due.to_be_bytes()[..], &key].concat().into()
                })
                .collect();
            let by_due: BTreeSet<Bytes> = rows(Space::DUE).into_iter().map(|(key, _)| key).collect();
            assert_eq!(by_name, by_due, "after {end} records of {shard}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reminder_ticks_on_time_and_not_early() {
    let node = node();
    let clock = node.actor::<Clock>("a");
    clock.every("beat".into(), 10_000, "once".into(), 7).await.unwrap();
    clock.after("single".into(), 15_000, 1).await.unwrap();
    sleep(Duration::from_millis(9_900)).await;
    assert!(clock.ticks().await.unwrap().is_empty());
    wait(100).await;
    assert_eq!(clock.ticks().await.unwrap(), [7]);
    wait(24_900).await;
    assert_eq!(clock.ticks().await.unwrap(), [7, 1, 7, 7]);
    // Not one commit more than there were turns: the ticks moved the reminder on in their own.
    assert_eq!(node.disk.commits(), 2 + 4);
    assert_eq!(node.engine.reminder_stats().ticks, 4);
    assert_rows_agree(&node.disk);
}

#[tokio::test(start_paused = true)]
async fn a_reminder_is_part_of_its_turns_commit() {
    let node = node();
    let clock = node.actor::<Clock>("a");
    assert!(clock.after_then_fail().await.is_err());
    assert_eq!(node.disk.commits(), 0);
    wait(1_000).await;
    assert!(clock.ticks().await.unwrap().is_empty());

    let slow = Node::new::<Clock>();
    let clock = slow.actor::<Clock>("a");
    let mut set = Box::pin(clock.after("early".into(), 0, 1));
    assert!(futures_util::poll!(&mut set).is_pending());
    wait(5_000).await;
    // Not durable, so it does not tick: a crash could still undo it.
    assert_eq!(slow.disk.commits(), 1);
    slow.sync();
    set.await.unwrap();
    wait(1_000).await;
    assert_eq!(slow.disk.commits(), 2);
}

#[tokio::test(start_paused = true)]
async fn i4_each_tick_is_applied_once_wherever_a_crash_cuts() {
    let first = node();
    let opens = first.disk.records().len();
    let clock = first.actor::<Clock>("a");
    clock.every("all".into(), 1_000, "all".into(), 1).await.unwrap();
    clock.after("once".into(), 2_500, 2).await.unwrap();
    let due = |listing: &[String]| listing[0].split(' ').nth(3).unwrap().parse::<u64>().unwrap();
    let first_due = due(&clock.names().await.unwrap());
    wait(5_000).await;
    // Two commits set the reminders, the others are ticks; the crash loses any number of the last ones.
    let whole = first.disk.records().len();
    assert_eq!(whole, opens + 2 + 5 + 1);
    for kept in opens + 2..=whole {
        let node = node_over(first.disk.after_crash(kept));
        let clock = node.actor::<Clock>("a");
        wait(1_000).await;
        let mut ticks = clock.ticks().await.unwrap();
        let due_times = (due(&clock.names().await.unwrap()) - first_due) / 1_000;
        assert!(due_times >= 6);
        ticks.sort_unstable();
        let expected: Vec<u32> = (0..due_times).map(|_| 1).chain([2]).collect();
        assert_eq!(ticks, expected, "after a crash that kept {kept} records");
        assert_rows_agree(&node.disk);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_made_up_for_as_the_schedule_says() {
    let first = node();
    for policy in ["once", "all", "skip"] {
        first.actor::<Clock>(policy).every("beat".into(), 600_000, policy.into(), 1).await.unwrap();
    }
    let disk = first.disk.clone();
    drop(first);
    // Nobody there for three periods and a half.
    sleep(Duration::from_millis(2_100_000)).await;
    let second = node_over(disk);
    wait(5_000).await;
    let ticks = |policy: &'static str| second.actor::<Clock>(policy).ticks();
    assert_eq!(ticks("once").await.unwrap().len(), 1);
    assert_eq!(ticks("all").await.unwrap().len(), 3);
    assert_eq!(ticks("skip").await.unwrap().len(), 0);
    wait(300_000).await;
    assert_eq!(ticks("once").await.unwrap().len(), 2);
    assert_eq!(ticks("all").await.unwrap().len(), 4);
    assert_eq!(ticks("skip").await.unwrap().len(), 1);
    assert_eq!(second.engine.reminder_stats().skipped, 1);
    assert_rows_agree(&second.disk);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_reminder_does_not_tick_and_a_replaced_one_ticks_as_it_is_now() {
    let node = node();
    let clock = node.actor::<Clock>("a");
    for name in ["gone", "new"] {
        clock.every(name.into(), 1_000, "all".into(), 1).await.unwrap();
    }
    // The ticks of the next second wait behind this turn, and the changes come before them.
    let (_, forgotten, replaced) = tokio::join!(
        clock.sleep(1_500),
        clock.forget("gone".into()),
        clock.every("new".into(), 5_000, "all".into(), 2)
    );
    forgotten.unwrap();
    replaced.unwrap();
    wait(2_000).await;
    assert!(clock.ticks().await.unwrap().is_empty());
    wait(3_000).await;
    assert_eq!(clock.ticks().await.unwrap(), [2]);
    assert_rows_agree(&node.disk);
}

#[tokio::test(start_paused = true)]
async fn a_tick_may_set_its_own_reminder_anew_even_for_the_same_time() {
    let node = node();
    let clock = node.actor::<Clock>("a");
    clock.chase(support::BEGINNING_UNIX_MS + 1_000, 4).await.unwrap();
    wait(3_000).await;
    assert_eq!(clock.ticks().await.unwrap().len(), 4);
    assert!(clock.names().await.unwrap().is_empty());
    assert_rows_agree(&node.disk);
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_fails_is_tried_again_then_given_up_and_the_reminder_goes_on() {
    let node = node();
    let clock = node.actor::<Clock>("a");
    clock.set_failing(1).await.unwrap();
    clock.every("beat".into(), 60_000, "once".into(), 1).await.unwrap();
    clock.panic_after(60_000).await.unwrap();
    wait(60_000 + 16_000).await;
    let stats = node.engine.reminder_stats();
    assert_eq!((stats.failures, stats.given_up, stats.ticks), (8, 2, 0));
    let (letters, _) = node.engine.list_dead_letters(10).await;
    let of_kind = |kind| letters.iter().find(|letter| letter.kind == kind && letter.durable).unwrap();
    assert_eq!((letters.len(), of_kind("panicked").target.to_string()), (2, "Clock/a".into()));
    assert!(clock.ticks().await.unwrap().is_empty(), "a failed tick left something behind");
    clock.set_failing(0).await.unwrap();
    node.engine.resend_dead_letter(&of_kind("app").id).await.unwrap();
    wait(1_000).await;
    assert_eq!(clock.ticks().await.unwrap(), [1]);
    wait(60_000 - 17_000).await;
    assert_eq!(clock.ticks().await.unwrap(), [1, 1]);
    assert_rows_agree(&node.disk);
}

#[tokio::test(start_paused = true)]
async fn a_reminder_moves_with_its_shard() {
    let first = node();
    first.actor::<Clock>("a").every("beat".into(), 1_000, "all".into(), 1).await.unwrap();
    wait(3_000).await;
    for shard in first.engine.shards().shards() {
        first.engine.step_down(shard);
    }
    wait(2_000).await;
    let second = node_over(first.disk.clone());
    wait(2_000).await;
    let ticks = second.actor::<Clock>("a").ticks().await.unwrap().len();
    assert_eq!(ticks, 7);
    assert_eq!(first.engine.reminder_stats().ticks + second.engine.reminder_stats().ticks, 7);
    assert_rows_agree(&second.disk);
}

#[tokio::test(start_paused = true)]
async fn a_listing_shows_what_this_turn_has_changed() {
    let node = node();
    let clock = node.actor::<Clock>("a");
    clock.every("beat".into(), 60_000, "once".into(), 1).await.unwrap();
    node.actor::<Clock>("aa").after("other".into(), 1, 1).await.unwrap();
    let names = clock.names_with("soon".into()).await.unwrap();
    assert_eq!(names.len(), 2);
    assert!(names[0].starts_with("beat every 60s ") && names[0].ends_with(" tick"), "{names:?}");
    assert!(names[1].starts_with("soon once "), "{names:?}");
    assert_eq!(clock.names().await.unwrap(), names);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_reminder_is_refused_by_name() {
    let node = node();
    let clock = node.actor::<Clock>("a");
    let refused = async |which: &str| clock.wrong(which.into()).await.unwrap_err().to_string();
    assert!(refused("other").await.contains("a reminder of Clock/a cannot call Clock/other"));
    assert!(refused("reads").await.contains("ticks takes &self"));
    assert!(refused("name").await.contains("has 0 bytes; use 1 to 128"));
    assert!(refused("zone").await.contains("there is no time zone \"Mars/Base\""));
    let reader = clock.forget_reading().await.unwrap_err().to_string();
    assert!(reader.contains("this turn of Clock/a cannot change reminders"), "{reader}");
}

#[tokio::test(start_paused = true)]
async fn many_in_the_same_second_tick_a_bounded_number_at_a_time_and_calls_get_through() {
    const MANY: usize = 1_000;
    let node = node();
    let at = support::BEGINNING_UNIX_MS + 60_000;
    let set = (0..MANY).map(|n| {
        let clock = node.actor::<Clock>(&format!("many-{n}"));
        async move { clock.slow_after(at).await.unwrap() }
    });
    futures_util::future::join_all(set).await;
    assert!(node.engine.reminder_stats().in_memory <= 8 * 128);
    sleep(Duration::from_millis(at - support::BEGINNING_UNIX_MS) - Duration::from_secs(1)).await;
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    while node.engine.reminder_stats().ticks < MANY as u64 {
        let asked = Instant::now();
        node.actor::<Clock>("bystander").tick(1).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        assert!(node.engine.reminder_stats().in_memory <= 8 * (128 + 64));
        assert!(begun.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(5)).await;
    }
    assert!(SLOWEST.load(Ordering::SeqCst) <= 64);
    assert!(slowest < Duration::from_millis(20), "a call waited {slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn i5_a_shard_that_commits_nothing_does_not_delay_the_reminders_of_another() {
    let node = Arc::new(Node::new::<Clock>());
    let shard_of = |key: &str| format!("Clock/{key}").parse::<ActorId>().unwrap().shard(node.engine.shards());
    let stuck = shard_of("stuck");
    let keys: Vec<_> = (0..2_000).map(|n| format!("n{n}")).filter(|key| shard_of(key) == stuck).collect();
    let free = (0..).map(|n| format!("free{n}")).find(|key| shard_of(key) != stuck).unwrap();
    for key in keys.iter().take(150).chain([&free]) {
        let clock = node.actor::<Clock>(key);
        let mut set = Box::pin(clock.every("beat".into(), 1_000, "all".into(), 1));
        assert!(futures_util::poll!(&mut set).is_pending());
        node.sync();
        set.await.unwrap();
    }
    // From now on only the shard of the one is synced.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        node.sync_shard(shard_of(&free));
        sleep(Duration::from_millis(1)).await;
    }
    let clock = node.actor::<Clock>(&free);
    let ticks = clock.ticks().await.unwrap().len();
    assert!((9..=10).contains(&ticks), "{ticks}");
}
