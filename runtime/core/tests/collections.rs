//! Maps and lists against their models: any turns, failures, reads, syncs, idle times and power cuts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use greenroom_core::journal::RecordKind;
use greenroom_core::rows::{RowRange, Space, replay};
use greenroom_core::{AppError, CallError, CallId, CollectionError, Cx, List, Map, Result};
use greenroom_macros::{Actor, actor_methods};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use support::{Disk, Node};
use tokio::task::JoinHandle;

/// What a turn does with the collections. Keys are numbers, which are made strings of several shapes.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Op {
    Insert(u8, u32),
    Fill(u8, u8),
    Remove(u8),
    Clear,
    Push(u32),
    PushMany(u8),
    Set(u64, u32),
    Pop,
    PopFront,
    ClearList,
    Look(Look),
}

/// What it asks them.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Look {
    Lengths,
    Get(u8),
    Contains(u8),
    Page(Option<u8>, usize),
    Range(u8, u8),
    All,
    At(u64),
    Slice(u64, u64),
    ListPage(u64, usize),
    WholeList,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum End {
    Ok,
    Err,
    Panic,
}

fn key(number: u8) -> String {
    match number % 4 {
        0 => format!("{}\0", number / 16),
        1 => format!("{number}"),
        2 => "x".repeat(usize::from(number / 4)),
        _ => format!("ключ {number}"),
    }
}

fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

async fn apply(map: &mut Map<String, u32>, list: &mut List<u32>, cx: &Cx, op: Op) -> Result<String> {
    Ok(match op {
        Op::Insert(k, v) => show(map.insert(cx, key(k), v).await?),
        Op::Fill(from, count) => {
            for k in from..from.saturating_add(count) {
                map.insert(cx, key(k), u32::from(k)).await?;
            }
            String::new()
        }
        Op::Remove(k) => show(map.remove(cx, key(k).as_str()).await?),
        Op::Clear => show(map.clear(cx).await?),
        Op::Push(v) => show(list.push(cx, v)?),
        Op::PushMany(count) => {
            for v in 0..count {
                list.push(cx, u32::from(v))?;
            }
            String::new()
        }
        Op::Set(index, v) => show(list.set(cx, index, v).is_ok()),
        Op::Pop => show(list.pop(cx).await?),
        Op::PopFront => show(list.pop_front(cx).await?),
        Op::ClearList => show(list.clear(cx).await?),
        Op::Look(look) => ask(map, list, cx, look).await?,
    })
}

async fn ask(map: &Map<String, u32>, list: &List<u32>, cx: &Cx, look: Look) -> Result<String> {
    Ok(match look {
        Look::Lengths => show((map.len(), list.len(), map.is_empty(), list.is_empty())),
        Look::Get(k) => show(map.get(cx, &key(k)).await?),
        Look::Contains(k) => show(map.contains(cx, key(k).as_str()).await?),
        Look::Page(after, limit) => show(map.page(cx, after.map(key).as_ref(), limit).await?),
        Look::Range(a, b) => {
            let (a, b) = (key(a), key(b));
            let range: (Bound<&str>, Bound<&str>) = (Bound::Excluded(&a), Bound::Included(&b));
            show(map.range::<str>(cx, range).try_collect::<Vec<_>>().await?)
        }
        Look::All => {
            let (mut items, mut cursor) = (Vec::new(), map.iter(cx));
            while let Some(item) = cursor.next().await? {
                items.push(item);
            }
            show(items)
        }
        Look::At(index) => show(list.get(cx, index).await?),
        Look::Slice(a, b) => show(list.range(cx, a..b).try_collect::<Vec<_>>().await?),
        Look::ListPage(from, limit) => show(list.page(cx, from, limit).await?),
        Look::WholeList => show(list.iter(cx).try_collect::<Vec<_>>().await?),
    })
}

macro_rules! chest {
    ($chest:ident $(, $volatile:ident)?) => {
        #[derive(Actor, Default, Serialize, Deserialize)]
        #[actor(crate = "greenroom_core", idle_timeout = "1s" $(, $volatile)?)]
        struct $chest {
            map: Map<String, u32>,
            list: List<u32>,
        }

        #[actor_methods(crate = "greenroom_core")]
        impl $chest {
            async fn change(&mut self, cx: &Cx, ops: Vec<Op>, end: End) -> Result<Vec<String>> {
                let mut seen = Vec::new();
                for op in ops {
                    seen.push(apply(&mut self.map, &mut self.list, cx, op).await?);
                }
                match end {
                    End::Ok => Ok(seen),
                    End::Err => Err(AppError::new("on purpose")),
                    End::Panic => panic!("on purpose"),
                }
            }

            async fn ask(&self, cx: &Cx, looks: Vec<Look>) -> Result<Vec<String>> {
                let mut seen = Vec::new();
                for look in looks {
                    seen.push(ask(&self.map, &self.list, cx, look).await?);
                }
                Ok(seen)
            }
        }
    };
}
chest!(Chest);
chest!(Presence, volatile);

/// What the collections should be.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    map: BTreeMap<String, u32>,
    list: VecDeque<u32>,
}

impl Model {
    fn change(&mut self, op: Op) -> String {
        match op {
            Op::Insert(k, v) => show(self.map.insert(key(k), v)),
            Op::Fill(from, count) => {
                self.map.extend((from..from.saturating_add(count)).map(|k| (key(k), u32::from(k))));
                String::new()
            }
            Op::Remove(k) => show(self.map.remove(&key(k))),
            Op::Clear => {
                self.map.clear();
                show(())
            }
            Op::Push(v) => {
                self.list.push_back(v);
                show(())
            }
            Op::PushMany(count) => {
                self.list.extend((0..count).map(u32::from));
                String::new()
            }
            Op::Set(index, v) => show(self.list.get_mut(index as usize).map(|at| *at = v).is_some()),
            Op::Pop => show(self.list.pop_back()),
            Op::PopFront => show(self.list.pop_front()),
            Op::ClearList => {
                self.list.clear();
                show(())
            }
            Op::Look(look) => self.ask(look),
        }
    }

    fn ask(&self, look: Look) -> String {
        let (map, list) = (&self.map, &self.list);
        match look {
            Look::Lengths => show((map.len(), list.len(), map.is_empty(), list.is_empty())),
            Look::Get(k) => show(map.get(&key(k))),
            Look::Contains(k) => show(map.contains_key(&key(k))),
            Look::Page(after, limit) => {
                let after = after.map(key);
                let behind = map.iter().filter(|(k, _)| after.as_ref().is_none_or(|after| *k > after));
                show(behind.take(limit).collect::<Vec<_>>())
            }
            Look::Range(a, b) => {
                show(map.iter().filter(|(k, _)| **k > key(a) && **k <= key(b)).collect::<Vec<_>>())
            }
            Look::All => show(map.iter().collect::<Vec<_>>()),
            Look::At(index) => show(list.get(index as usize)),
            Look::Slice(a, b) => show(list.iter().take(b as usize).skip(a as usize).collect::<Vec<_>>()),
            Look::ListPage(from, limit) => {
                show(list.iter().skip(from as usize).take(limit).collect::<Vec<_>>())
            }
            Look::WholeList => show(list.iter().collect::<Vec<_>>()),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Change(Vec<Op>, End),
    Ask(Vec<Look>),
    Sync,
    /// Long enough for the actor to leave memory.
    Idle,
    PowerCut,
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        Just(Look::Lengths),
        any::<u8>().prop_map(Look::Get),
        any::<u8>().prop_map(Look::Contains),
        (any::<Option<u8>>(), 0..5usize).prop_map(|(after, limit)| Look::Page(after, limit)),
        any::<(u8, u8)>().prop_map(|(a, b)| Look::Range(a, b)),
        Just(Look::All),
        (0..20u64).prop_map(Look::At),
        (0..20u64, 0..300u64).prop_map(|(a, b)| Look::Slice(a, b)),
        (0..20u64, 0..5usize).prop_map(|(from, limit)| Look::ListPage(from, limit)),
        Just(Look::WholeList),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => any::<(u8, u32)>().prop_map(|(k, v)| Op::Insert(k, v)),
        1 => any::<(u8, u8)>().prop_map(|(from, count)| Op::Fill(from, count)),
        3 => any::<u8>().prop_map(Op::Remove),
        1 => Just(Op::Clear),
        4 => any::<u32>().prop_map(Op::Push),
        1 => any::<u8>().prop_map(Op::PushMany),
        2 => (0..20u64, any::<u32>()).prop_map(|(index, v)| Op::Set(index, v)),
        2 => Just(Op::Pop),
        2 => Just(Op::PopFront),
        1 => Just(Op::ClearList),
        6 => look().prop_map(Op::Look),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![4 => Just(End::Ok), 1 => Just(End::Err), 1 => Just(End::Panic)];
    prop_oneof![
        6 => (prop::collection::vec(op(), 0..8), end).prop_map(|(ops, end)| Step::Change(ops, end)),
        3 => prop::collection::vec(look(), 1..6).prop_map(Step::Ask),
        2 => Just(Step::Sync),
        1 => Just(Step::Idle),
        1 => Just(Step::PowerCut),
    ]
}

/// A call that was made, and what is expected of it: what it sees, or that it fails.
type Pending = (JoinHandle<Result<Vec<String>, CallError>>, Option<Vec<String>>);

/// Everything becomes durable; every call that was made is answered as expected.
async fn settle(node: &Node, pending: &mut Vec<Pending>) {
    for (mut call, expected) in pending.drain(..) {
        let outcome = loop {
            match futures_util::poll!(&mut call) {
                Poll::Ready(outcome) => break outcome.unwrap(),
                Poll::Pending => node.sync(),
            }
            tokio::task::yield_now().await;
        };
        match (outcome, expected) {
            (Ok(seen), Some(expected)) => assert_eq!(seen, expected),
            (Err(CallError::App(_) | CallError::Panicked(_)), None) => {}
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }
    node.sync();
}

/// The rows of items on a disk.
fn rows_of(disk: &Disk) -> Vec<(Bytes, Bytes)> {
    let records = disk.records();
    replay(records.iter().flat_map(|record| record.rows()), &RowRange::all(Space::ITEM), usize::MAX)
}

/// Makes the calls of the steps to one actor and compares what they see with the model.
macro_rules! run {
    ($chest:ident, $volatile:literal, $steps:expr) => {{
        let mut node = Node::new::<$chest>();
        let (mut now, mut durable) = (Model::default(), Model::default());
        let mut pending: Vec<Pending> = Vec::new();
        for step in $steps {
            let chest = node.actor::<$chest>("c");
            match step {
                Step::Change(ops, end) => {
                    let mut next = now.clone();
                    let seen = ops.iter().map(|op| next.change(op.clone())).collect();
                    let expected = matches!(end, End::Ok).then(|| {
                        now = next;
                        seen
                    });
                    pending.push((tokio::spawn(chest.change(ops, end)), expected));
                }
                Step::Ask(looks) => {
                    let seen = looks.iter().map(|look| now.ask(look.clone())).collect();
                    pending.push((tokio::spawn(chest.ask(looks)), Some(seen)));
                }
                Step::Sync => {
                    settle(&node, &mut pending).await;
                    durable = now.clone();
                }
                Step::Idle => {
                    settle(&node, &mut pending).await;
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    if $volatile {
                        now = Model::default();
                    }
                    durable = now.clone();
                }
                Step::PowerCut => {
                    pending.drain(..).for_each(|(call, _)| call.abort());
                    node = Node::over::<$chest>(node.disk.after_power_cut());
                    if $volatile {
                        durable = Model::default();
                    }
                    now = durable.clone();
                }
            }
            // The turns run until they wait for the disk.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        settle(&node, &mut pending).await;
        let rows = if $volatile { 0 } else { now.map.len() + now.list.len() };
        assert_eq!(rows_of(&node.disk).len(), rows, "rows without an item, or an item without its row");
    }};
}

fn with_virtual_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn collections_are_what_the_turns_that_count_have_made_of_them(steps in prop::collection::vec(step(), 1..40)) {
        with_virtual_time(async { run!(Chest, false, steps) });
    }

    #[test]
    fn collections_of_a_volatile_type_are_in_memory_and_roll_back(steps in prop::collection::vec(step(), 1..25)) {
        with_virtual_time(async { run!(Presence, true, steps) });
    }
}

fn node() -> Arc<Node> {
    let node = Arc::new(Node::new::<Chest>());
    node.sync_always();
    node
}

async fn change(node: &Node, ops: &[Op]) -> Vec<String> {
    node.actor::<Chest>("c").change(ops.to_vec(), End::Ok).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_turn_commits_what_it_changed_and_reads_what_it_asked_for() {
    let node = node();
    for _ in 0..40 {
        change(&node, &[Op::PushMany(250)]).await;
    }
    change(&node, &[Op::Fill(0, 200)]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let read = node.disk.rows_read();
    change(
        &node,
        &[Op::Insert(7, 8), Op::Set(3, 4), Op::Look(Look::At(9000)), Op::Look(Look::ListPage(100, 10))],
    )
    .await;
    let rows_read = node.disk.rows_read() - read;
    assert!(rows_read <= 12, "{rows_read} rows were read of 10,200");
    let Some(RecordKind::Commit(commit)) = node.disk.records().pop().map(|record| record.kind) else {
        panic!()
    };
    assert_eq!(commit.rows.len(), 2);
    assert!(commit.state.len() < 100, "the state takes {} bytes", commit.state.len());
    // What was read a moment ago, or written, is not read again.
    let read = node.disk.rows_read();
    let looks = vec![Look::Get(7), Look::At(9000), Look::At(3)];
    assert_eq!(node.actor::<Chest>("c").ask(looks).await.unwrap(), ["Some(8)", "Some(0)", "Some(4)"]);
    assert_eq!(node.disk.rows_read(), read);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_turn_gives_its_collections_the_same_numbers() {
    let mut rows = Vec::new();
    for _ in 0..2 {
        let node = node();
        let call = node.actor::<Chest>("c").change(vec![Op::Insert(1, 2), Op::Push(3)], End::Ok);
        call.call_id(CallId(7)).await.unwrap();
        rows.push(rows_of(&node.disk));
    }
    assert_eq!(rows[0].len(), 2);
    assert_eq!(rows[0], rows[1]);
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", name = "Chest")]
struct Renamed {
    #[serde(alias = "list")]
    treasure: List<u32>,
    #[serde(alias = "map")]
    inventory: Map<String, u32>,
    #[serde(default)]
    nested: Map<u8, Inner>,
}

#[derive(Default, Serialize, Deserialize)]
struct Inner {
    list: List<u32>,
}

#[actor_methods(crate = "greenroom_core")]
impl Renamed {
    async fn read(&self, cx: &Cx) -> Result<(Option<u32>, Option<u32>)> {
        Ok((self.inventory.get(cx, &key(1)).await?, self.treasure.get(cx, 0).await?))
    }

    async fn nest(&mut self, cx: &Cx) -> Result<()> {
        self.nested.insert(cx, 1, Inner::default()).await?;
        Ok(())
    }

    async fn too_large(&mut self, cx: &Cx) -> Vec<String> {
        let long = self.inventory.insert(cx, "k".repeat(2000), 1).await.unwrap_err();
        let behind = self.treasure.set(cx, 5, 1).unwrap_err();
        assert!(matches!(behind, CollectionError::NoSuchItem { index: 5, len: 0 }));
        [long, behind].map(|error| error.to_string()).into()
    }
}

#[tokio::test(start_paused = true)]
async fn items_stay_with_a_field_that_is_renamed() {
    let before = node();
    change(&before, &[Op::Insert(1, 2), Op::Push(3)]).await;
    let after = Arc::new(Node::over::<Renamed>(before.disk.clone()));
    after.sync_always();
    assert_eq!(after.actor::<Renamed>("c").read().await.unwrap(), (Some(2), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn wrong_uses_are_named() {
    let node = Arc::new(Node::new::<Renamed>());
    node.sync_always();
    let error = node.actor::<Renamed>("c").nest().await.unwrap_err().to_string();
    assert!(error.contains("cannot be an item of another one; use a key with two parts"), "{error}");
    let errors = node.actor::<Renamed>("c").too_large().await.unwrap();
    assert!(errors[0].contains("2002 bytes, at most 1024"), "{errors:?}");
    assert!(errors[1].contains("no item 5: the list has 0"), "{errors:?}");
}
