//! Relaxed and volatile methods: what is written when, what a crash may lose, and what nothing else may.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use greenroom_core::journal::{Commit, RecordKind};
use greenroom_core::rows::Space;
use greenroom_core::{AppError, CallError, CallId, Cx, Map, Result, Schedule};
use greenroom_macros::{Actor, actor_methods};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use support::{Disk, Node};

const WITHIN: Duration = Duration::from_millis(50);
const MS: Duration = Duration::from_millis(1);

/// Writes down what it does. Its commits are relaxed, unless a method says otherwise.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", relaxed("50ms"), idle_timeout = "2s")]
struct Walker {
    log: Vec<u32>,
    items: Map<u32, u32>,
    #[index]
    mood: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Walker {
    async fn step(&mut self, cx: &Cx, value: u32) -> Result<usize> {
        self.log.push(value);
        self.items.insert(cx, value, value).await?;
        Ok(self.log.len())
    }

    /// Its time to be written is long behind the actor's time to leave.
    #[method(relaxed("1m"))]
    async fn stroll(&mut self, cx: &Cx, value: u32) -> Result<usize> {
        self.step(cx, value).await
    }

    async fn stumble(&mut self, cx: &Cx, value: u32, panics: bool) -> Result<()> {
        self.step(cx, value).await?;
        assert!(!panics, "on purpose");
        Err(AppError::new("on purpose"))
    }

    #[method(durable)]
    async fn save(&mut self, cx: &Cx, value: u32) -> Result<usize> {
        self.step(cx, value).await
    }

    #[method(volatile)]
    async fn look(&mut self, value: u32) -> usize {
        self.log.push(value);
        self.log.len()
    }

    #[method(volatile)]
    async fn feel(&mut self, mood: u32) {
        self.mood = mood;
    }

    #[method(volatile)]
    async fn insert_without_commit(&mut self, cx: &Cx) -> Result<()> {
        self.items.insert(cx, 1, 1).await?;
        Ok(())
    }

    #[method(durable)]
    async fn long(&mut self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    async fn large(&mut self, cx: &Cx, value: u32, bytes: usize) -> Result<Vec<u8>> {
        self.step(cx, value).await?;
        Ok(vec![7; bytes])
    }

    async fn tell_on(&mut self, cx: &Cx, to: String, value: u32) -> Result<()> {
        self.log.push(value);
        cx.tell(cx.actor::<Walker>(&to).step(value))?;
        Ok(())
    }

    async fn send_on(&mut self, cx: &Cx, to: String, value: u32) -> Result<()> {
        self.log.push(value);
        cx.reliable(cx.actor::<Walker>(&to).step(value))?;
        Ok(())
    }

    async fn wake_me(&mut self, cx: &Cx) -> Result<()> {
        let later = Schedule::after(Duration::from_secs(60));
        Ok(cx.remind("later", later, cx.actor::<Walker>(cx.key()).step(60))?)
    }

    async fn log(&self) -> Vec<u32> {
        self.log.clone()
    }

    async fn items(&self, cx: &Cx) -> Result<Vec<u32>> {
        Ok(self.items.page::<u32>(cx, None, 1000).await?.into_iter().map(|(key, _)| key).collect())
    }
}

fn node() -> Arc<Node> {
    Arc::new(Node::new::<Walker>())
}

fn commits(disk: &Disk) -> Vec<Commit> {
    let commits = disk.records().into_iter().filter_map(|record| match record.kind {
        RecordKind::Commit(commit) => Some(commit),
        _ => None,
    });
    commits.collect()
}

/// How many calls each commit applies.
fn calls(disk: &Disk) -> Vec<usize> {
    commits(disk).iter().map(|commit| commit.calls().count()).collect()
}

#[tokio::test(start_paused = true)]
async fn relaxed_turns_answer_at_once_and_become_one_record_in_time() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    for value in 1..=3 {
        assert_eq!(walker.step(value).await, Ok(value as usize));
        tokio::time::sleep(16 * MS).await;
    }
    assert_eq!(calls(&node.disk), [0; 0], "49 ms after the first one");
    assert_eq!(walker.items().await, Ok(vec![1, 2, 3]), "items are read before they are written");
    tokio::time::sleep(3 * MS).await;
    assert_eq!(calls(&node.disk), [3]);
    // The disk has not answered yet, and nobody waits for it.
    assert_eq!(walker.step(4).await, Ok(4));
    tokio::time::sleep(WITHIN + MS).await;
    assert_eq!(calls(&node.disk), [3, 1]);
    let node = Node::over::<Walker>(node.disk.after_crash(node.disk.len()));
    assert_eq!(node.actor::<Walker>("w").log().await, Ok(vec![1, 2, 3, 4]));
    assert_eq!(node.actor::<Walker>("w").items().await, Ok(vec![1, 2, 3, 4]));
}

#[tokio::test(start_paused = true)]
async fn a_long_turn_does_not_delay_what_is_due() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    walker.step(1).await.unwrap();
    let mut long = Box::pin(walker.long(5));
    assert!(poll!(&mut long).is_pending());
    tokio::time::sleep(WITHIN + MS).await;
    assert_eq!(calls(&node.disk), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_durable_turn_carries_all_before_it_and_is_waited_for() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    walker.step(1).await.unwrap();
    walker.step(2).await.unwrap();
    let mut save = Box::pin(walker.save(3));
    assert!(poll!(&mut save).is_pending());
    assert_eq!(calls(&node.disk), [3]);
    // What saw the durable turn waits with it (R5).
    let mut step = Box::pin(walker.step(4));
    let mut read = Box::pin(walker.log());
    assert!(poll!(&mut step).is_pending() && poll!(&mut read).is_pending());
    tokio::time::sleep(WITHIN + MS).await;
    assert_eq!(calls(&node.disk), [3, 1], "the step is written in time nevertheless");
    assert!(poll!(&mut step).is_pending());
    node.sync();
    assert_eq!((save.await, step.await, read.await), (Ok(3), Ok(4), Ok(vec![1, 2, 3, 4])));
    assert_eq!(walker.items().await, Ok(vec![1, 2, 3, 4]));
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_goes_back_to_the_last_relaxed_one() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    walker.step(1).await.unwrap();
    assert!(matches!(walker.stumble(2, false).await, Err(CallError::App(_))));
    assert!(matches!(walker.stumble(3, true).await, Err(CallError::Panicked(_))));
    assert_eq!(walker.log().await, Ok(vec![1]));
    assert_eq!(walker.items().await, Ok(vec![1]));
    tokio::time::sleep(WITHIN + MS).await;
    assert_eq!(calls(&node.disk), [1]);
}

#[tokio::test(start_paused = true)]
async fn i4_a_repeated_relaxed_call_is_applied_once() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    let step = |walker: &WalkerRef| walker.step(1).call_id(CallId(7));
    assert_eq!(step(&walker).await, Ok(1));
    assert_eq!(step(&walker).await, Ok(1), "before it is written");
    walker.step(2).await.unwrap();
    tokio::time::sleep(WITHIN + MS).await;
    assert_eq!(step(&walker).await, Ok(1), "after that");
    let again = Node::over::<Walker>(node.disk.after_crash(node.disk.len()));
    assert_eq!(step(&again.actor::<Walker>("w")).await, Ok(1), "and after a crash");
    assert_eq!(again.actor::<Walker>("w").log().await, Ok(vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn i7_leaving_memory_loses_nothing() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    walker.step(1).await.unwrap();
    let mut leaves = Box::pin(async { node.engine.deactivate(&"Walker/w".parse().unwrap()).await });
    assert!(poll!(&mut leaves).is_pending(), "what could not be loaded again stays");
    assert_eq!(calls(&node.disk), [1]);
    node.sync();
    assert!(leaves.await);
    assert_eq!(walker.step(2).await, Ok(2));
    // The same by itself, when nobody calls any more.
    node.sync_always();
    let idle = || node.engine.departures()[0].1;
    while idle() == 0 {
        tokio::time::sleep(WITHIN).await;
    }
    assert_eq!(calls(&node.disk), [1, 1]);
    assert_eq!(walker.step(3).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn i7_an_idle_actor_writes_before_its_time_and_leaves_when_that_is_durable() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    let idle = || node.engine.departures()[0].1;
    walker.stroll(1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(calls(&node.disk), [1]);
    assert_eq!(idle(), 0, "what is not durable could not be loaded again");
    node.sync();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((idle(), walker.log().await), (1, Ok(vec![1])));
}

#[tokio::test(start_paused = true)]
async fn what_a_full_journal_does_not_take_waits_for_it() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    walker.step(1).await.unwrap();
    node.disk.set_full(true);
    tokio::time::sleep(2 * WITHIN).await;
    assert!(matches!(walker.save(2).await, Err(CallError::Overloaded(_))));
    assert_eq!(walker.step(3).await, Ok(2));
    let mut leaves = Box::pin(async { node.engine.deactivate(&"Walker/w".parse().unwrap()).await });
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut leaves).await.is_err());
    assert_eq!(calls(&node.disk), [0; 0]);
    node.disk.set_full(false);
    tokio::time::sleep(3 * WITHIN).await;
    assert_eq!(calls(&node.disk), [2]);
    node.sync();
    assert!(leaves.await);
    assert_eq!(walker.log().await, Ok(vec![1, 3]));
}

#[tokio::test(start_paused = true)]
async fn i7_a_drain_writes_what_waits_and_waits_for_the_disk() {
    let node = node();
    for key in ["a", "b", "c"] {
        node.actor::<Walker>(key).step(1).await.unwrap();
    }
    let mut drained = Box::pin(node.engine.drain(Duration::from_secs(5)));
    assert!(poll!(&mut drained).is_pending());
    node.sync_always();
    assert_eq!(drained.await, 0);
    let node = Node::over::<Walker>(node.disk.after_power_cut());
    for key in ["a", "b", "c"] {
        assert_eq!(node.actor::<Walker>(key).log().await, Ok(vec![1]));
    }
}

#[tokio::test(start_paused = true)]
async fn i7_a_drain_waits_for_what_has_just_been_written() {
    let node = node();
    node.actor::<Walker>("w").step(1).await.unwrap();
    tokio::time::sleep(WITHIN + MS).await;
    assert_eq!(calls(&node.disk), [1]);
    let mut drained = Box::pin(node.engine.drain(Duration::from_secs(5)));
    assert!(poll!(&mut drained).is_pending());
    node.sync();
    assert_eq!(drained.await, 0);
    let node = Node::over::<Walker>(node.disk.after_power_cut());
    assert_eq!(node.actor::<Walker>("w").log().await, Ok(vec![1]));
}

#[tokio::test(start_paused = true)]
async fn i7_a_shard_that_is_given_up_has_every_acknowledged_turn() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    walker.step(1).await.unwrap();
    let mut long = Box::pin(walker.long(1));
    assert!(poll!(&mut long).is_pending());
    node.move_all();
    assert_eq!(walker.log().await, Ok(vec![1]));
    assert_eq!(walker.items().await, Ok(vec![1]));
    // The timer of the earlier owner must not write over what the next one does.
    let mut save = Box::pin(walker.save(2));
    assert!(poll!(&mut save).is_pending());
    node.sync();
    save.await.unwrap();
    tokio::time::sleep(WITHIN + MS).await;
    let node = Node::over::<Walker>(node.disk.after_crash(node.disk.len()));
    assert_eq!(node.actor::<Walker>("w").log().await, Ok(vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn tell_leaves_with_the_reply_and_reliable_with_the_commit() {
    let node = node();
    let (walker, other) = (node.actor::<Walker>("w"), node.actor::<Walker>("other"));
    walker.tell_on("other".into(), 1).await.unwrap();
    walker.send_on("other".into(), 2).await.unwrap();
    tokio::time::sleep(10 * MS).await;
    assert_eq!(other.log().await, Ok(vec![1]));
    node.sync_always();
    tokio::time::sleep(10 * MS).await;
    assert_eq!(other.log().await, Ok(vec![1]), "there is no commit yet");
    tokio::time::sleep(2 * WITHIN).await;
    assert_eq!(other.log().await, Ok(vec![1, 2]));
}

/// The sender forgets a message when it is applied, so that must not be lost any more then.
#[tokio::test(start_paused = true)]
async fn a_reliable_message_to_a_relaxed_method_is_applied_durably() {
    let node = node();
    node.actor::<Walker>("w").send_on("other".into(), 2).await.unwrap();
    tokio::time::sleep(WITHIN + MS).await;
    node.sync();
    tokio::time::sleep(10 * MS).await;
    assert_eq!(commits(&node.disk).last().unwrap().actor.to_string(), "Walker/other", "written at once");
    assert_eq!(
        commits(&node.disk).last().unwrap().rows.iter().filter(|r| r.space == Space::INBOX).count(),
        1
    );
    let removed =
        |node: &Node| node.disk.records().iter().any(|record| matches!(record.kind, RecordKind::Rows(_)));
    assert!(!removed(&node), "the sender still has it");
    node.sync();
    tokio::time::sleep(10 * MS).await;
    assert!(removed(&node));
}

#[tokio::test(start_paused = true)]
async fn a_reminder_of_a_relaxed_turn_is_written_at_once() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    walker.step(1).await.unwrap();
    walker.wake_me().await.unwrap();
    assert_eq!(calls(&node.disk), [2]);
    node.sync_always();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(walker.log().await, Ok(vec![1, 60]));
}

#[tokio::test(start_paused = true)]
async fn what_has_become_much_is_written_before_its_time() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    for value in 0..4 {
        walker.large(value, 400 << 10).await.unwrap();
    }
    assert_eq!(calls(&node.disk), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_changes_often_is_written_once() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    for _ in 0..100 {
        walker.step(1).await.unwrap();
    }
    tokio::time::sleep(WITHIN + MS).await;
    assert_eq!(calls(&node.disk), [100]);
    assert_eq!(commits(&node.disk)[0].rows.iter().filter(|row| row.space == Space::ITEM).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_volatile_method_writes_nothing_and_goes_with_the_next_commit() {
    let node = node();
    let walker = node.actor::<Walker>("w");
    assert_eq!(walker.look(1).await, Ok(1));
    assert!(walker.insert_without_commit().await.is_err());
    tokio::time::sleep(4 * WITHIN).await;
    assert_eq!(node.disk.commits(), 0);
    // A failed turn does not undo it.
    assert!(walker.stumble(2, false).await.is_err());
    assert_eq!(walker.log().await, Ok(vec![1]));
    walker.step(3).await.unwrap();
    walker.look(4).await.unwrap();
    tokio::time::sleep(WITHIN + MS).await;
    let after = Node::over::<Walker>(node.disk.after_crash(node.disk.len()));
    assert_eq!(after.actor::<Walker>("w").log().await, Ok(vec![1, 3]));
    // Whatever leaves memory takes it along.
    node.sync_always();
    node.engine.deactivate(&"Walker/w".parse().unwrap()).await;
    assert_eq!(walker.log().await, Ok(vec![1, 3]));
}

#[tokio::test(start_paused = true)]
async fn an_index_knows_what_a_volatile_method_has_changed_in_between() {
    let node = node();
    node.sync_always();
    let walker = node.actor::<Walker>("w");
    walker.save(1).await.unwrap();
    let stored = Arc::new(Node::over::<Walker>(node.disk.after_power_cut()));
    stored.sync_always();
    let walker = stored.actor::<Walker>("w");
    walker.feel(8).await.unwrap();
    walker.feel(9).await.unwrap();
    walker.save(2).await.unwrap();
    let rows = commits(&stored.disk).pop().unwrap().rows;
    let index: Vec<_> =
        rows.iter().filter(|row| row.space == Space::INDEX).map(|row| row.value.is_some()).collect();
    assert_eq!(index, [false, true], "mood 0 goes, mood 9 comes");
}

#[derive(Debug, Clone)]
enum Do {
    Step,
    Stumble(bool),
    Save,
    Look,
    Wait(u64),
    Sync,
    Deactivate,
    Move,
}

fn history() -> impl Strategy<Value = Vec<Do>> {
    let step = prop_oneof![
        6 => Just(Do::Step),
        1 => any::<bool>().prop_map(Do::Stumble),
        1 => Just(Do::Save),
        2 => Just(Do::Look),
        3 => (1u64..70).prop_map(Do::Wait),
        2 => Just(Do::Sync),
        1 => Just(Do::Deactivate),
        1 => Just(Do::Move),
    ];
    prop::collection::vec(step, 1..40)
}

/// What was done, and how much of it a crash may not take.
#[derive(Default)]
struct Model {
    /// Value, whether it is kept at all, and when it was done.
    turns: Vec<(u32, bool, Duration)>,
    safe: usize,
}

impl Model {
    /// The actor leaves memory, and takes with it what nothing has carried to the store.
    fn leaves(&mut self) {
        while self.turns.last().is_some_and(|(_, kept, _)| !kept) {
            self.turns.pop();
        }
    }

    fn stored(&self, from: usize, until: usize) -> Vec<u32> {
        self.turns[from..until].iter().filter(|turn| turn.1).map(|turn| turn.0).collect()
    }
}

async fn any_history_leaves_a_prefix(
    history: Vec<Do>,
    kept: usize,
) -> std::result::Result<(), TestCaseError> {
    let node = Arc::new(Node::new::<Walker>());
    let walker = node.actor::<Walker>("w");
    let begun = tokio::time::Instant::now();
    let mut model = Model::default();
    let id = |value: u32| CallId(1000 + u128::from(value));
    for (value, done) in history.into_iter().enumerate() {
        let (value, now) = (value as u32, begun.elapsed());
        match done {
            Do::Step => {
                // It may wait for a durable turn before it, which is synced below.
                prop_assert_eq!(walker.step(value).call_id(id(value)).await, Ok(model.turns.len() + 1));
                model.turns.push((value, true, now));
            }
            Do::Stumble(panics) => prop_assert!(walker.stumble(value, panics).await.is_err()),
            Do::Look => {
                walker.look(value).await.unwrap();
                model.turns.push((value, false, now));
            }
            Do::Save => {
                let mut save = Box::pin(walker.save(value).call_id(id(value)));
                prop_assert!(poll!(&mut save).is_pending());
                node.sync();
                prop_assert_eq!(save.await, Ok(model.turns.len() + 1));
                model.turns.push((value, true, now));
                model.safe = model.turns.len();
            }
            Do::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Do::Sync => {
                node.sync();
                let due = |turn: &(u32, bool, Duration)| turn.1 && turn.2 + WITHIN + MS <= now;
                model.safe = model.safe.max(model.turns.iter().rposition(due).map_or(0, |last| last + 1));
            }
            Do::Deactivate => {
                let target = "Walker/w".parse().unwrap();
                tokio::join!(node.engine.deactivate(&target), async { node.sync() });
                model.leaves();
                model.safe = model.turns.len();
            }
            Do::Move => {
                node.move_all();
                model.leaves();
                model.safe = model.turns.len();
            }
        }
    }
    let durable = node.disk.after_power_cut().len();
    let after = Node::over::<Walker>(node.disk.after_crash(durable + kept % (node.disk.len() - durable + 1)));
    let walker = after.actor::<Walker>("w");
    let left = walker.log().await.unwrap();
    let all: Vec<_> = model.turns.iter().map(|turn| turn.0).collect();
    prop_assert!(all.starts_with(&left), "{left:?} was never a state on the way to {all:?}");
    prop_assert!(left.len() >= model.safe, "{left:?} has lost some of the first {} of {all:?}", model.safe);
    prop_assert_eq!(walker.items().await.unwrap(), model.stored(0, left.len()));
    // Calls are known exactly if their effect is there.
    for value in model.stored(0, all.len()) {
        let before = walker.log().await.unwrap();
        // What was a `save` is refused, because it was another method.
        let _ = walker.step(value).call_id(id(value)).await;
        let grew = walker.log().await.unwrap().len() > before.len();
        prop_assert!(grew != left.contains(&value), "{value} of {left:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_leaves_a_state_that_existed_and_loses_no_durable_turn(history in history(), kept in 0usize..8) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(any_history_leaves_a_prefix(history, kept))?;
    }
}
