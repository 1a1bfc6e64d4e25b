//! The promises of reply streams on one node: order, back-pressure, the output gate, and every way of ending.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use greenroom_core::engine::Leaving;
use greenroom_core::streams::{CONSUMER_GONE_AFTER, DEFAULT_BUFFER_ITEMS, MAX_ITEM_BYTES, MAX_STREAMS};
use greenroom_core::{ActorId, AppError, CallError, CallId, Cx, Feed, Items, ReplyStream, Result, WhenFull};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::time::{sleep, timeout};

const LINES: Feed<String> = Feed::new("lines").buffer(4);
const NEWEST: Feed<String> = Feed::new("newest").buffer(4).when_full(WhenFull::DropOldest);
const EVERY: Feed<String> = Feed::new("every").buffer(4).when_full(WhenFull::Wait);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Broken {
    Pipe { after: u32 },
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", idle_timeout = "5s")]
struct Room {
    lines: Vec<String>,
}

#[actor_methods(crate = "greenroom_core")]
impl Room {
    async fn say(&mut self, cx: &Cx, line: String) -> Result<()> {
        LINES.push(cx, line.clone()).await?;
        NEWEST.push(cx, line.clone()).await?;
        EVERY.push(cx, line.clone()).await?;
        self.lines.push(line);
        Ok(())
    }

    async fn say_and_fail(&mut self, cx: &Cx, line: String) -> Result<()> {
        self.say(cx, line).await?;
        Err(AppError::new("unsaid"))
    }

    /// Says more in one turn than a buffer holds.
    async fn babble(&mut self, cx: &Cx, lines: u32) -> Result<()> {
        for line in 0..lines {
            EVERY.push(cx, line.to_string()).await?;
        }
        Ok(())
    }

    async fn lines(&self, cx: &Cx, from: usize) -> Result<Items<String>> {
        Ok(LINES.open_with(cx, self.lines.iter().skip(from).cloned())?)
    }

    async fn newest(&self, cx: &Cx) -> Result<Items<String>> {
        Ok(NEWEST.open(cx)?)
    }

    async fn every(&self, cx: &Cx) -> Result<Items<String>> {
        Ok(EVERY.open(cx)?)
    }

    async fn open_and_fail(&self, cx: &Cx) -> Result<Items<String>> {
        let _opened = LINES.open(cx)?;
        Err(AppError::new("not today"))
    }

    /// Opened by a turn that commits.
    async fn enter(&mut self, cx: &Cx, who: String) -> Result<Items<String>> {
        let lines = LINES.open_with(cx, self.lines.iter().cloned())?;
        LINES.push(cx, format!("{who} is here")).await?;
        self.lines.push(format!("{who} is here"));
        Ok(lines)
    }

    async fn consumers(&self, cx: &Cx) -> usize {
        LINES.consumers(cx)
    }

    async fn close(&mut self, cx: &Cx) {
        LINES.finish(cx);
    }

    async fn close_badly(&mut self, cx: &Cx) {
        LINES.fail(cx, AppError::new("the room burns"));
    }

    async fn leave(&self, cx: &Cx) {
        cx.deactivate();
    }

    async fn count_to(&self, cx: &Cx, last: u32) -> Result<Items<u32>> {
        Ok(cx.items(stream::iter(1..=last))?)
    }

    async fn count_and_break(&self, cx: &Cx, after: u32) -> Result<Items<u32, Broken>> {
        let broken = stream::once(async move { Err(Broken::Pipe { after }) });
        Ok(cx.try_items(stream::iter(1..=after).map(Ok).chain(broken))?)
    }

    async fn count_and_panic(&self, cx: &Cx) -> Result<Items<u32>> {
        let panics = stream::once(async { panic!("no more numbers") });
        Ok(cx.items(stream::iter(1..=2).chain(panics))?)
    }

    /// Counts how many numbers it has made, and whether it is still there.
    async fn count_on(&self, cx: &Cx) -> Result<Items<usize>> {
        let alive = Alive::new();
        Ok(cx.items(stream::repeat_with(move || {
            let _ = &alive;
            MADE.fetch_add(1, Ordering::SeqCst)
        }))?)
    }

    async fn large(&self, cx: &Cx, sizes: Vec<usize>) -> Result<Items<String>> {
        Ok(cx.items(stream::iter(sizes.into_iter().map(|size| "x".repeat(size))))?)
    }
}

static MADE: AtomicUsize = AtomicUsize::new(0);
static ALIVE: AtomicUsize = AtomicUsize::new(0);

struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a stream has at once, without waiting.
async fn ready<T, E>(stream: &mut ReplyStream<T, E>) -> Vec<T>
where
    T: serde::de::DeserializeOwned,
    E: serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut items = Vec::new();
    while let Ok(Some(item)) = timeout(Duration::from_millis(100), stream.next()).await {
        items.push(item.unwrap());
    }
    items
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

fn running() -> Arc<Node> {
    let node = Arc::new(Node::new::<Room>());
    node.sync_always();
    node
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_what_was_and_what_comes_each_once_and_in_order() {
    let node = running();
    let room = node.actor::<Room>("a");
    for line in numbered(0..10) {
        room.say(line).await.unwrap();
    }
    let mut lines = room.lines(3).batch(2).await.unwrap();
    assert_eq!(ready(&mut lines).await, numbered(3..10), "what was does not count towards the buffer of 4");
    for line in numbered(10..30) {
        room.say(line.clone()).await.unwrap();
        assert_eq!(lines.next().await, Some(Ok(line)));
    }
    room.close().await.unwrap();
    assert_eq!(lines.next().await, None);
    assert_eq!(lines.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_methods_own_is_pulled_to_its_end() {
    let node = running();
    let room = node.actor::<Room>("a");
    let numbers = room.count_to(1000).batch(7).await.unwrap();
    let numbers: Vec<_> = numbers.map(Result::unwrap).collect().await;
    assert_eq!(numbers, (1..=1000).collect::<Vec<_>>());

    let mut numbers = room.count_and_break(2).await.unwrap();
    assert_eq!(numbers.next().await, Some(Ok(1)));
    assert_eq!(numbers.next().await, Some(Ok(2)));
    assert_eq!(numbers.next().await, Some(Err(CallError::App(Broken::Pipe { after: 2 }))));
    assert_eq!(numbers.next().await, None);

    let mut numbers = room.count_and_panic().await.unwrap();
    assert_eq!(ready_then_error(&mut numbers).await, (2, CallError::Panicked("no more numbers".into())));
}

/// How many items come, and the error after them.
async fn ready_then_error<T>(stream: &mut ReplyStream<T>) -> (usize, CallError)
where
    T: serde::de::DeserializeOwned,
{
    let mut items = 0;
    loop {
        match stream.next().await.expect("an error before the end") {
            Ok(_) => items += 1,
            Err(error) => return (items, error),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i3_what_a_turn_pushes_is_seen_when_its_commit_is_durable_and_not_before() {
    let node = Node::new::<Room>();
    let room = node.actor::<Room>("a");
    let mut lines = room.lines(0).await.unwrap();
    let said = tokio::spawn(room.say("one".into()));
    assert_eq!(ready(&mut lines).await, [""; 0], "the commit is not durable yet");
    node.sync();
    said.await.unwrap().unwrap();
    assert_eq!(ready(&mut lines).await, ["one"]);

    let said = tokio::spawn(room.say("two".into()));
    assert_eq!(ready(&mut lines).await, [""; 0]);
    let node = Node::over::<Room>(node.disk.after_power_cut());
    drop(said);
    let mut lines = node.actor::<Room>("a").lines(0).await.unwrap();
    assert_eq!(ready(&mut lines).await, ["one"], "what was not durable was never said");
}

/// Whether that commit is part of its history is for the shard's next owner to find out.
#[tokio::test(start_paused = true)]
async fn i3_what_a_turn_pushes_is_never_seen_if_its_shard_is_lost_before_its_commit_is_durable() {
    let node = Node::new::<Room>();
    let room = node.actor::<Room>("a");
    let mut lines = room.lines(0).await.unwrap();
    let said = tokio::spawn(room.say("one".into()).into_future());
    sleep(Duration::from_millis(10)).await;
    node.lose_all();
    assert!(matches!(said.await.unwrap(), Err(CallError::Unavailable(_))));
    assert_eq!(ready(&mut lines).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_a_committing_turn_opens_waits_for_its_commit() {
    let node = Node::new::<Room>();
    let room = node.actor::<Room>("a");
    let entering = tokio::spawn(room.enter("ann".into()).into_future());
    sleep(Duration::from_secs(1)).await;
    assert!(!entering.is_finished());
    node.sync();
    let mut lines = entering.await.unwrap().unwrap();
    assert_eq!(ready(&mut lines).await, ["ann is here"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_pushes_and_opens_nothing_and_ends_no_stream() {
    let node = running();
    let room = node.actor::<Room>("a");
    let mut lines = room.lines(0).await.unwrap();
    assert!(room.say_and_fail("never".into()).await.is_err());
    assert!(room.open_and_fail().await.is_err());
    assert_eq!(room.consumers().await, Ok(1));
    room.say("said".into()).await.unwrap();
    assert_eq!(ready(&mut lines).await, ["said"]);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_too_slow_for_its_feed_is_told_so_and_no_other_notices() {
    let node = running();
    let room = node.actor::<Room>("a");
    let (mut slow, mut fast) = (room.lines(0).await.unwrap(), room.lines(0).await.unwrap());
    for line in numbered(0..6) {
        room.say(line.clone()).await.unwrap();
        assert_eq!(fast.next().await, Some(Ok(line)));
    }
    let (items, error) = ready_then_error(&mut slow).await;
    assert_eq!(items, 4, "what waited still comes");
    assert!(matches!(&error, CallError::Overloaded(why) if why.starts_with("4 items")), "{error}");
    assert!(slow.next().await.is_none());
    assert_eq!(room.consumers().await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_feed_may_drop_the_oldest_and_the_consumer_knows_how_many() {
    let node = running();
    let room = node.actor::<Room>("a");
    let mut newest = room.newest().await.unwrap();
    for line in numbered(0..10) {
        room.say(line).await.unwrap();
    }
    assert_eq!(ready(&mut newest).await, numbered(6..10));
    assert_eq!(newest.dropped(), 6);
    room.say("10".into()).await.unwrap();
    assert_eq!(ready(&mut newest).await, ["10"]);
    assert_eq!(newest.dropped(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_feed_may_wait_for_its_slowest_consumer_until_the_turns_deadline() {
    let node = running();
    let room = node.actor::<Room>("a");
    let mut every = room.every().batch(1).await.unwrap();
    for line in numbered(0..4) {
        room.say(line).await.unwrap();
    }
    let too_early = room.say("never".into()).timeout(Duration::from_secs(1)).await;
    assert_eq!(too_early, Err(CallError::Timeout { committed: Some(false) }));
    let waits = tokio::spawn(room.say("4".into()));
    sleep(Duration::from_millis(100)).await;
    assert!(!waits.is_finished());
    assert_eq!(every.next().await, Some(Ok("0".into())));
    assert_eq!(every.next().await, Some(Ok("1".into())));
    waits.await.unwrap().unwrap();
    assert_eq!(ready(&mut every).await, numbered(2..5));

    let error = room.babble(5).await.unwrap_err();
    assert!(error.to_string().contains("raise `.buffer(…)`"), "{error}");
    room.babble(4).await.unwrap();
    assert_eq!(ready(&mut every).await, numbered(0..4));
}

#[tokio::test(start_paused = true)]
async fn a_fast_producer_makes_no_more_than_fits_and_ends_with_its_consumer() {
    let node = running();
    let mut numbers = node.actor::<Room>("a").count_on().batch(10).await.unwrap();
    assert_eq!(numbers.next().await, Some(Ok(0)));
    sleep(Duration::from_secs(10)).await;
    // Those that wait, those that the consumer has, and those on their way to it.
    let made = MADE.load(Ordering::SeqCst);
    assert!((10..=DEFAULT_BUFFER_ITEMS + 21).contains(&made), "{made}");
    assert_eq!(ALIVE.load(Ordering::SeqCst), 1);
    drop(numbers);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0, "nobody told the producer that its consumer has gone");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_goes_without_a_word_is_noticed() {
    let node = Node::new::<Room>();
    let room = node.actor::<Room>("a");
    let (gone, mut stays) = (room.lines(0).await.unwrap(), room.lines(0).await.unwrap());
    std::mem::forget(gone);
    assert!(timeout(CONSUMER_GONE_AFTER + Duration::from_secs(5), stays.next()).await.is_err());
    assert_eq!(room.consumers().await, Ok(1));
    drop(stays);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(room.consumers().await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_keeps_its_actor_in_memory() {
    let node = Node::new::<Room>();
    let room = node.actor::<Room>("a");
    let mut lines = room.lines(0).await.unwrap();
    let idle = || node.engine.departures().into_iter().find(|(why, _)| *why == Leaving::Idle).unwrap().1;
    assert!(timeout(Duration::from_secs(600), lines.next()).await.is_err());
    assert_eq!(idle(), 0);
    drop(lines);
    sleep(CONSUMER_GONE_AFTER + Duration::from_secs(10)).await;
    assert_eq!(idle(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_leaves_ends_its_streams_by_name_and_a_new_one_goes_on() {
    let node = running();
    let room = node.actor::<Room>("a");
    let mut lines = room.lines(0).await.unwrap();
    room.say("one".into()).await.unwrap();
    assert_eq!(ready(&mut lines).await, ["one"]);
    room.leave().await.unwrap();
    let (items, error) = ready_then_error(&mut lines).await;
    assert!(
        items == 0 && matches!(&error, CallError::Unavailable(why) if why.contains("left memory")),
        "{error}"
    );

    room.say("two".into()).await.unwrap();
    let mut lines = room.lines(1).await.unwrap();
    assert_eq!(ready(&mut lines).await, ["two"]);
    let id: ActorId = "Room/a".parse().unwrap();
    node.engine.step_down(id.shard(node.engine.shards()));
    let (_, error) = ready_then_error(&mut lines).await;
    assert!(matches!(&error, CallError::Unavailable(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_feed_ends_its_streams_well_or_with_an_error_of_its_own() {
    let node = running();
    let room = node.actor::<Room>("a");
    let mut lines = room.lines(0).await.unwrap();
    room.say("one".into()).await.unwrap();
    room.close_badly().await.unwrap();
    room.say("nobody hears this".into()).await.unwrap();
    let (items, error) = ready_then_error(&mut lines).await;
    assert_eq!((items, error), (1, CallError::App(AppError::new("the room burns"))));
    assert!(lines.next().await.is_none());
}

/// By name, as scripts do it; and a pull whose reply was lost.
#[tokio::test(start_paused = true)]
async fn a_pull_that_is_repeated_gets_the_same_items_and_one_from_further_on_forgets_them() {
    let node = running();
    let room = node.actor::<Room>("a");
    room.say("one".into()).await.unwrap();
    room.say("two".into()).await.unwrap();
    let opened = node.call_json("Room/a", "lines", r#"{"from":0}"#).await.unwrap();
    let stream = opened.strip_prefix(r#"{"stream":""#).and_then(|rest| rest.strip_suffix(r#""}"#)).unwrap();
    let pull = async |from: u64| {
        let arguments = format!(r#"{{"stream":"{stream}","from":{from}}}"#);
        node.call_json("Room/a", "@next", &arguments).await.unwrap()
    };
    let both = r#"{"items":[{"at":0,"item":"one"},{"at":1,"item":"two"}],"end":null}"#;
    assert_eq!(pull(0).await, both);
    assert_eq!(pull(0).await, both);
    assert_eq!(pull(1).await, r#"{"items":[{"at":1,"item":"two"}],"end":null}"#);
    assert_eq!(pull(0).await, r#"{"items":[{"at":1,"item":"two"}],"end":null}"#);
    assert_eq!(
        pull(2).await,
        r#"{"items":[],"end":null}"#,
        "a pull for which nothing comes is answered, too"
    );
    room.close().await.unwrap();
    let end = r#"{"items":[],"end":{"kind":"done","message":"","error":null}}"#;
    assert_eq!(pull(2).await, end);
    assert_eq!(pull(2).await, end);
    let close = node.call_json("Room/a", "@close", &format!(r#"{{"stream":"{stream}"}}"#)).await;
    assert_eq!(close.unwrap(), "null");
    assert!(pull(2).await.contains("unavailable"));
}

/// Its first reply may have been lost, and its consumer may be pulling already.
#[tokio::test(start_paused = true)]
async fn a_repeated_call_gets_the_stream_that_it_has_opened() {
    let node = running();
    let room = node.actor::<Room>("a");
    let mut lines = room.lines(0).call_id(CallId(7)).await.unwrap();
    room.say("one".into()).await.unwrap();
    assert_eq!(ready(&mut lines).await, ["one"]);
    let again = room.lines(0).call_id(CallId(7)).await.unwrap();
    std::mem::forget(again);
    room.say("two".into()).await.unwrap();
    assert_eq!(ready(&mut lines).await, ["two"]);
    assert_eq!(room.consumers().await, Ok(1));
}

/// Else the consumer of the first one would go on with the second one, and miss what came before that.
#[tokio::test(start_paused = true)]
async fn a_repeated_call_opens_another_stream_if_the_first_one_is_gone() {
    let node = running();
    let open = async || {
        let data = r#"{"from":0}"#.into();
        let arguments =
            greenroom_core::Payload { content_type: greenroom_core::codec::ContentType::Json, data };
        node.call_by_name(CallId(7), "Room/a", "lines", arguments).await.unwrap()
    };
    let first = open().await;
    assert_eq!(open().await, first);
    assert!(node.engine.deactivate(&"Room/a".parse().unwrap()).await);
    assert_ne!(open().await, first);
}

#[tokio::test(start_paused = true)]
async fn the_limits_have_names() {
    let node = running();
    let room = node.actor::<Room>("a");
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        open.push(room.lines(0).await.unwrap());
    }
    let error = room.lines(0).await.unwrap_err();
    assert!(error.to_string().contains("1024 open streams"), "{error}");
    drop(open);
    sleep(Duration::from_millis(10)).await;
    room.lines(0).await.unwrap();

    let mut large = room.large(vec![1, 2, MAX_ITEM_BYTES, 3]).await.unwrap();
    let (items, error) = ready_then_error(&mut large).await;
    assert!(items == 2 && matches!(&error, CallError::Invalid(why) if why.contains("split it")), "{error}");
    let large = room.large(vec![200 << 10; 5]).await.unwrap();
    assert_eq!(large.filter(|item| std::future::ready(item.is_ok())).count().await, 5);
}

/// Nobody could say which of its workers has the stream.
#[tokio::test(start_paused = true)]
async fn a_stateless_type_has_no_streams() {
    let node = Node::new::<Worker>();
    let error = node.actor::<Worker>("a").numbers().await.unwrap_err();
    assert!(error.to_string().contains("give the type state"), "{error}");
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", stateless)]
struct Worker {}

#[actor_methods(crate = "greenroom_core")]
impl Worker {
    async fn numbers(&self, cx: &Cx) -> Result<Items<u32>> {
        Ok(cx.items(stream::iter(0..3))?)
    }
}
