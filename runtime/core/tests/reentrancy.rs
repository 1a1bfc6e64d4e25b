//! A turn that lends its state: what comes back runs inside it, and is committed with it or not at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use futures_util::poll;
use greenroom_core::call::{Call, CallContext, Chain, Frame};
use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::engine::Delivery;
use greenroom_core::journal::{Record, RecordKind};
use greenroom_core::{ActorId, CallError, CallId, Cx, Map, Result};
use greenroom_macros::{Actor, actor_methods};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::Node;
use tokio::time::{Instant, sleep, timeout};

/// Keeps things, and asks a broker who may come back for them.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Shop {
    stock: i64,
    shelf: Map<String, i64>,
}

#[actor_methods(crate = "greenroom_core")]
impl Shop {
    async fn stock(&self) -> i64 {
        self.stock
    }

    async fn shelf(&self, cx: &Cx) -> Result<Vec<(String, i64)>> {
        Ok(self.shelf.page(cx, None::<&str>, 10).await?)
    }

    /// Lets the broker do this while the state is lent. `Err` if it says so and this turn is to fail then.
    async fn order(&mut self, cx: &Cx, deed: Deed, fail: bool) -> Result<Vec<(String, i64)>> {
        self.stock += 100;
        self.shelf.insert(cx, "a".into(), 1).await?;
        let broker = cx.actor::<Broker>("broker");
        let outcome = cx.reentrant(self, broker.act(cx.key().to_owned(), deed)).await;
        let shelf = self.shelf.page(cx, None::<&str>, 10).await?;
        if fail {
            outcome?;
            return Err(greenroom_core::AppError::new("the order fails"));
        }
        self.stock += if outcome.is_ok() { 1000 } else { 2000 };
        Ok(shelf)
    }

    /// Lends the state two times, one after the other, and notes what became of the second time.
    async fn order_twice(&mut self, cx: &Cx) -> Result<()> {
        let broker = cx.actor::<Broker>("broker");
        let lent = cx.reentrant(self, broker.act(cx.key().to_owned(), Deed::TakeSlowly)).await;
        let again = cx.reentrant(self, broker.act(cx.key().to_owned(), Deed::TakeSlowly)).await;
        LENT_AGAIN.lock().push((lent.is_ok(), again.as_ref().map_err(CallError::kind).err()));
        Ok(again?)
    }

    /// Lends the state for five seconds, and then for five more.
    async fn wait_twice(&mut self, cx: &Cx) -> Result<()> {
        let broker = cx.actor::<Broker>("broker");
        cx.reentrant(self, broker.act(cx.key().to_owned(), Deed::Wait)).await?;
        Ok(cx.reentrant(self, broker.act(cx.key().to_owned(), Deed::Wait)).await?)
    }

    /// Begins a call and lends the state then.
    async fn lend_late(&mut self, cx: &Cx) -> Result<()> {
        let mut begun = cx.actor::<Broker>("broker").act(cx.key().to_owned(), Deed::Wait);
        assert!(poll!(&mut begun).is_pending());
        Ok(cx.reentrant(self, begun).await?)
    }

    /// The same without lending anything.
    async fn order_alone(&mut self, cx: &Cx) -> Result<()> {
        Ok(cx.actor::<Broker>("broker").act(cx.key().to_owned(), Deed::Take).await?)
    }

    #[method(reentrant)]
    async fn take(&mut self, cx: &Cx) -> Result<i64> {
        self.stock += 1;
        self.shelf.insert(cx, "b".into(), 2).await?;
        cx.tell(cx.actor::<Broker>("told").hear())?;
        cx.reliable(cx.actor::<Broker>("reliable").hear())?;
        Ok(self.stock)
    }

    #[method(reentrant)]
    async fn take_and_fail(&mut self, cx: &Cx) -> Result<()> {
        self.take(cx).await?;
        self.shelf.insert(cx, "a".into(), 7).await?;
        Err(greenroom_core::AppError::new("no"))
    }

    #[method(reentrant)]
    async fn take_and_panic(&mut self, cx: &Cx) {
        self.take(cx).await.ok();
        panic!("on purpose");
    }

    #[method(reentrant)]
    async fn take_slowly(&mut self, cx: &Cx) -> Result<()> {
        self.take(cx).await?;
        sleep(Duration::from_secs(5)).await;
        Ok(())
    }

    #[method(reentrant)]
    async fn look(&self) -> i64 {
        self.stock
    }

    /// Comes back, and lends once more.
    #[method(reentrant)]
    async fn take_deeper(&mut self, cx: &Cx) -> Result<()> {
        self.stock += 10;
        let broker = cx.actor::<Broker>("other broker");
        Ok(cx.reentrant(self, broker.act(cx.key().to_owned(), Deed::Take)).await?)
    }

    async fn closed(&mut self) {
        self.stock += 1;
    }

    async fn lend_another(&self, cx: &Cx) -> Result<()> {
        Ok(cx.reentrant(&mut Self::default(), cx.actor::<Broker>("broker").hear()).await?)
    }
}

/// What became of turns that lent their state two times: whether the first time went well, and how the second one failed.
static LENT_AGAIN: Mutex<Vec<(bool, Option<&str>)>> = Mutex::new(Vec::new());

/// What the broker does.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Deed {
    Take,
    TakeTwiceWithOneId,
    Fail,
    Panic,
    GiveUp,
    TakeSlowly,
    Look,
    Deeper,
    Closed,
    Wait,
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core")]
struct Broker {
    heard: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Broker {
    async fn act(&mut self, cx: &Cx, shop: String, deed: Deed) -> Result<()> {
        let shop = cx.actor::<Shop>(&shop);
        match deed {
            Deed::Take => drop(shop.take().await?),
            Deed::TakeTwiceWithOneId => {
                let first = shop.take().call_id(CallId(7)).await?;
                assert_eq!(shop.take().call_id(CallId(7)).await?, first);
            }
            Deed::Fail => shop.take_and_fail().await?,
            Deed::Panic => shop.take_and_panic().await?,
            Deed::GiveUp => shop.take_slowly().timeout(Duration::from_secs(1)).await?,
            Deed::TakeSlowly => shop.take_slowly().await?,
            Deed::Look => assert_eq!(shop.look().await?, 100),
            Deed::Deeper => shop.take_deeper().await?,
            Deed::Closed => shop.closed().await?,
            Deed::Wait => sleep(Duration::from_secs(5)).await,
        }
        Ok(())
    }

    async fn visit(&mut self, cx: &Cx, stall: String, visits: Vec<Visit>) -> Result<()> {
        let stall = cx.actor::<Stall>(&stall);
        for visit in visits {
            match visit {
                Visit::Take => drop(stall.take().await?),
                Visit::TakeDurably => stall.take_durably().await?,
                Visit::TakeInMemory => stall.take_in_memory().await?,
                Visit::Put => stall.put("b".into()).await?,
                Visit::PutAndFail => drop(stall.put_and_fail("a".into()).await.unwrap_err()),
                Visit::Fail => stall.put_and_fail("c".into()).await?,
            }
        }
        Ok(())
    }

    async fn hear(&mut self) {
        self.heard += 1;
    }

    async fn heard(&self) -> u32 {
        self.heard
    }
}

fn node() -> Arc<Node> {
    let node = Arc::new(Node::with::<Shop>(|engine| engine.register::<Broker>()));
    node.sync_always();
    node
}

fn a_and(b: Option<i64>) -> Vec<(String, i64)> {
    let b = b.map(|b| ("b".to_owned(), b));
    [("a".to_owned(), 1)].into_iter().chain(b).collect()
}

fn commits_of_shop(node: &Node) -> usize {
    let of_shop = |record: &Record| match &record.kind {
        RecordKind::Commit(commit) => commit.actor.to_string() == "Shop/x",
        _ => false,
    };
    node.disk.records().iter().filter(|record| of_shop(record)).count()
}

/// What the two brokers have heard of the shop, in the end.
async fn heard(node: &Node) -> (u32, u32) {
    sleep(Duration::from_secs(1)).await;
    let broker = |key| node.actor::<Broker>(key);
    (broker("told").heard().await.unwrap(), broker("reliable").heard().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_part_of_the_lending_turn() {
    let node = node();
    let shop = node.actor::<Shop>("x");
    assert_eq!(shop.order(Deed::Take, false).await.unwrap(), a_and(Some(2)));
    assert_eq!(commits_of_shop(&node), 1, "one record holds it all");
    assert_eq!(shop.stock().await.unwrap(), 1101);
    assert_eq!(heard(&node).await, (1, 1));
    // As it is in memory it is on disk.
    let after = Node::over::<Shop>(node.disk.after_crash(node.disk.len()));
    after.sync();
    assert_eq!(after.actor::<Shop>("x").stock().await.unwrap(), 1101);
    assert_eq!(after.actor::<Shop>("x").shelf().await.unwrap(), a_and(Some(2)));
}

#[tokio::test(start_paused = true)]
async fn a_lending_turn_that_fails_takes_with_it_what_came_back() {
    let node = node();
    let shop = node.actor::<Shop>("x");
    shop.order(Deed::Take, true).await.unwrap_err();
    assert_eq!((shop.stock().await.unwrap(), shop.shelf().await.unwrap()), (0, Vec::new()));
    assert_eq!((commits_of_shop(&node), heard(&node).await), (0, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_and_fails_leaves_nothing_and_the_lending_turn_goes_on() {
    for deed in [Deed::Fail, Deed::Panic, Deed::GiveUp] {
        let node = node();
        let shop = node.actor::<Shop>("x");
        assert_eq!(shop.order(deed, false).await.unwrap(), a_and(None), "{deed:?}");
        assert_eq!(shop.stock().await.unwrap(), 2100, "{deed:?}");
        assert_eq!(shop.shelf().await.unwrap(), a_and(None), "{deed:?}");
        assert_eq!(heard(&node).await, (0, 0), "{deed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_may_read_and_may_lend_again() {
    for (deed, stock, b) in [(Deed::Look, 1100, None), (Deed::Deeper, 1111, Some(2))] {
        let node = node();
        let shop = node.actor::<Shop>("x");
        assert_eq!(shop.order(deed, false).await.unwrap(), a_and(b), "{deed:?}");
        assert_eq!(shop.stock().await.unwrap(), stock, "{deed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_back_twice_is_applied_once() {
    let node = node();
    let shop = node.actor::<Shop>("x");
    shop.order(Deed::TakeTwiceWithOneId, false).await.unwrap();
    assert_eq!((shop.stock().await.unwrap(), heard(&node).await), (1101, (1, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_another_chain_waits() {
    let node = node();
    let shop = node.actor::<Shop>("x");
    let another = async {
        sleep(Duration::from_secs(1)).await;
        shop.take().await
    };
    let (ordered, taken) = join(shop.order(Deed::TakeSlowly, false), another).await;
    assert_eq!((ordered, taken), (Ok(a_and(Some(2))), Ok(1102)));
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_in_without_a_window_or_without_the_attribute() {
    let node = node();
    let shop = node.actor::<Shop>("x");
    let deadlock =
        |error: CallError| error.to_string().starts_with("deadlock: Shop/x → Broker/broker → Shop/x");
    assert!(deadlock(shop.order_alone().await.unwrap_err()));
    assert!(deadlock(shop.order(Deed::Closed, true).await.unwrap_err()));
    let error = shop.lend_another().await.unwrap_err().to_string();
    assert!(error.contains("can lend nothing but its own state"), "{error}");
    let error = shop.lend_late().await.unwrap_err().to_string();
    assert!(error.contains("a call that has begun already"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_window_has_left_behind_does_not_come_in_by_the_next_one() {
    let node = node();
    let (shop, id) = (node.actor::<Shop>("x"), CallId(11));
    let order = || shop.wait_twice().call_id(id).timeout(Duration::from_secs(60));
    // As a broker on another node calls back that has been asked in this window.
    let comes_back = async |window| {
        let frame = |actor: &str, call_id, window| Frame {
            actor: actor.parse().unwrap(),
            call_id,
            exclusive: true,
            window,
        };
        let broker = frame("Broker/broker", id.child(window), None);
        let context = CallContext {
            id: CallId(100 + u128::from(window)),
            deadline: Instant::now() + Duration::from_secs(10),
            chain: Chain::from_outermost([frame("Shop/x", id, Some(window)), broker]),
            request: Default::default(),
        };
        let arguments = Payload { content_type: ContentType::Json, data: Bytes::from_static(b"{}") };
        let (target, method) = ("Shop/x".parse().unwrap(), "take".into());
        match node.engine.deliver(Call { target, method, arguments, context, delivery: None }) {
            Delivery::Here(outcome) => outcome.await,
            Delivery::NotServed(_) => panic!("the shop is here"),
        }
    };
    let visits = async {
        sleep(Duration::from_secs(1)).await;
        comes_back(0).await.unwrap();
        sleep(Duration::from_secs(5)).await;
        assert!(matches!(comes_back(0).await, Err(CallError::Deadlock { .. })));
        comes_back(1).await.unwrap();
    };
    let (ordered, ()) = join(order().into_future(), visits).await;
    ordered.unwrap();
    assert_eq!(shop.stock().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lending_turn_that_is_dropped_drops_what_came_back() {
    let node = node();
    let shop = node.actor::<Shop>("x");
    let mut order = Box::pin(shop.order(Deed::TakeSlowly, false));
    assert!(poll!(&mut order).is_pending());
    sleep(Duration::from_secs(1)).await;
    drop(order);
    assert_eq!((shop.stock().await.unwrap(), shop.shelf().await.unwrap()), (0, Vec::new()));
    assert_eq!(shop.order(Deed::Take, false).await.unwrap(), a_and(Some(2)), "the window has been closed");
    assert_eq!(heard(&node).await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_runs_again_behind_a_move_lends_though_the_first_one_has_not_ended() {
    let node = node();
    let shop = node.actor::<Shop>("x");
    let order = || shop.order(Deed::TakeSlowly, false).call_id(CallId(8));
    let mut first = Box::pin(order().into_future());
    assert!(poll!(&mut first).is_pending());
    sleep(Duration::from_secs(1)).await;
    node.move_all();
    assert_eq!(order().await.unwrap(), a_and(Some(2)));
    assert_eq!((shop.stock().await.unwrap(), heard(&node).await), (1101, (1, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_goes_on_behind_a_move_is_told_so_when_it_lends_again() {
    let node = node();
    let shard = |name: &str| name.parse::<ActorId>().unwrap().shard(node.engine.shards());
    assert_ne!(shard("Shop/x"), shard("Broker/broker"), "the broker stays where it is and answers both");
    let shop = node.actor::<Shop>("x");
    let order = || shop.order_twice().call_id(CallId(9)).timeout(Duration::from_secs(60));
    let mut first = Box::pin(order().into_future());
    assert!(poll!(&mut first).is_pending());
    sleep(Duration::from_secs(1)).await;
    node.move_shard(shard("Shop/x"));
    order().await.unwrap();
    let mut lent_again = std::mem::take(&mut *LENT_AGAIN.lock());
    lent_again.sort_unstable();
    assert_eq!(lent_again, [(true, None), (true, Some("unavailable"))]);
}

/// Lends its state in turns of every promise to visits of every promise; relaxed if nothing is said.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", relaxed("50ms"))]
struct Stall {
    stock: i64,
    shelf: Map<String, i64>,
}

#[actor_methods(crate = "greenroom_core")]
impl Stall {
    async fn order(&mut self, cx: &Cx, visits: Vec<Visit>) -> Result<i64> {
        self.stock += 100;
        let broker = cx.actor::<Broker>("broker");
        cx.reentrant(self, broker.visit(cx.key().to_owned(), visits)).await?;
        self.stock += 1000;
        Ok(self.stock)
    }

    #[method(durable)]
    async fn order_durably(&mut self, cx: &Cx, visits: Vec<Visit>) -> Result<i64> {
        self.order(cx, visits).await
    }

    #[method(volatile)]
    async fn order_in_memory(&mut self, cx: &Cx, visits: Vec<Visit>) -> Result<i64> {
        self.order(cx, visits).await
    }

    #[method(reentrant)]
    async fn take(&mut self) -> i64 {
        self.stock += 1;
        self.stock
    }

    #[method(durable, reentrant)]
    async fn take_durably(&mut self) {
        self.stock += 1;
    }

    #[method(volatile, reentrant)]
    async fn take_in_memory(&mut self) {
        self.stock += 1;
    }

    #[method(durable, reentrant)]
    async fn put(&mut self, cx: &Cx, key: String) -> Result<()> {
        self.shelf.insert(cx, key, self.stock).await?;
        Ok(())
    }

    #[method(reentrant)]
    async fn put_and_fail(&mut self, cx: &Cx, key: String) -> Result<()> {
        self.stock += 1;
        self.put(cx, key).await?;
        Err(greenroom_core::AppError::new("no"))
    }

    async fn put_relaxed(&mut self, cx: &Cx, key: String) -> Result<()> {
        self.put(cx, key).await
    }

    async fn holds(&self, cx: &Cx) -> Result<(i64, Vec<(String, i64)>)> {
        Ok((self.stock, self.shelf.page(cx, None::<&str>, 10).await?))
    }
}

/// What the broker does at a stall.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Visit {
    Take,
    TakeDurably,
    TakeInMemory,
    Put,
    /// Nothing of it remains, and the order goes on.
    PutAndFail,
    /// The order fails with it.
    Fail,
}

fn stalls() -> Node {
    Node::with::<Stall>(|engine| engine.register::<Broker>())
}

/// What a crash would leave of the stall now.
async fn stored(node: &Node) -> (i64, Vec<(String, i64)>) {
    Node::over::<Stall>(node.disk.after_crash(node.disk.len())).actor::<Stall>("x").holds().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn visits_of_every_promise_keep_what_the_lending_turn_promises() {
    let node = stalls();
    let stall = node.actor::<Stall>("x");
    let visits = || vec![Visit::Take, Visit::TakeDurably, Visit::TakeInMemory];
    // Relaxed: answered at once, and one record in time.
    assert_eq!(stall.order(visits()).await, Ok(1103));
    assert_eq!((node.disk.commits(), stored(&node).await.0), (0, 0));
    sleep(Duration::from_millis(51)).await;
    assert_eq!((node.disk.commits(), stored(&node).await.0), (1, 1103));
    // Volatile: written with the next commit, whatever it is.
    node.sync();
    assert_eq!(stall.order_in_memory(visits()).await, Ok(2206));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((node.disk.commits(), stored(&node).await.0), (1, 1103));
    assert_eq!(stall.take().await, Ok(2207));
    // Durable: one record with the relaxed turn before it, and the answer waits for the disk.
    let mut order = Box::pin(stall.order_durably(visits()));
    assert!(timeout(Duration::from_secs(1), &mut order).await.is_err());
    assert_eq!((node.disk.commits(), stored(&node).await.0), (2, 3310));
    node.sync();
    assert_eq!(order.await, Ok(3310));
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_a_lent_state_goes_back_to_turns_that_no_disk_has_yet() {
    let node = stalls();
    let stall = node.actor::<Stall>("x");
    let one_thing = |stock| Ok((stock, vec![("a".to_owned(), 0)]));
    stall.put_relaxed("a".into()).await.unwrap();
    stall.take_in_memory().await.unwrap();
    // A turn that is never written cannot change what is stored beside the state, nor can its visits.
    let refused = stall.order_in_memory(vec![Visit::Take, Visit::Put]).await.unwrap_err().to_string();
    assert!(refused.contains("cannot change collections"), "{refused}");
    assert_eq!(stall.holds().await, one_thing(1));
    assert_eq!(stall.order(vec![Visit::PutAndFail, Visit::TakeDurably]).await, Ok(1102));
    assert_eq!(stall.holds().await, one_thing(1102));
    stall.order_durably(vec![Visit::Put, Visit::Fail]).await.unwrap_err();
    assert_eq!(stall.holds().await, one_thing(1102));
    sleep(Duration::from_millis(51)).await;
    assert_eq!(Ok(stored(&node).await), one_thing(1102));
}
