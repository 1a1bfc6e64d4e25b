//! A town of accounts that send each other money, on a node that can be killed, with a post that can be told to fail.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::actor::Actor;
use greenroom_core::call::{Call, CallResult};
use greenroom_core::engine::{Delivery, Engine};
use greenroom_core::env::{Env, SharedEnv, SystemEnv};
use greenroom_core::identity::{Epoch, Incarnation, Seq, Shard, ShardCount, StoreId};
use greenroom_core::journal::{Journal, Record};
use greenroom_core::map::NodeRun;
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::rows::{RowRange, Space};
use greenroom_core::shard::OwnedShard;
use greenroom_core::transport::Transport;
use greenroom_core::{AppError, CallError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant};

use crate::support::Disk;

const SHARDS: u16 = 4;

/// An account that notes whom it has paid and who has paid it.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", idle_timeout = "1h")]
pub(crate) struct Account {
    balance: i64,
    /// How often it has paid each other account.
    paid: BTreeMap<String, u64>,
    /// Who paid, and the how-manieth time that was.
    got: Vec<(String, u64)>,
    closed: bool,
}

#[actor_methods(crate = "greenroom_core")]
impl Account {
    pub(crate) async fn pay(&mut self, cx: &Cx, to: String, amount: i64) -> Result<()> {
        let times = self.paid.entry(to.clone()).or_default();
        *times += 1;
        self.balance -= amount;
        cx.reliable(cx.actor::<Account>(&to).get(cx.key().to_owned(), *times, amount))?;
        Ok(())
    }

    pub(crate) async fn pay_many(&mut self, cx: &Cx, to: String, times: u64) -> Result<()> {
        for _ in 0..times {
            self.pay(cx, to.clone(), 1).await?;
        }
        Ok(())
    }

    pub(crate) async fn pay_later(&mut self, cx: &Cx, to: String, seconds: u64) -> Result<()> {
        let times = self.paid.entry(to.clone()).or_default();
        *times += 1;
        self.balance -= 1;
        let call = cx.actor::<Account>(&to).get(cx.key().to_owned(), *times, 1);
        cx.reliable_after(Duration::from_secs(seconds), call)?;
        Ok(())
    }

    pub(crate) async fn pay_then_fail(&mut self, cx: &Cx, to: String) -> Result<()> {
        self.pay(cx, to, 1).await?;
        Err(AppError::new("changed my mind"))
    }

    pub(crate) async fn pay_while_reading(&self, cx: &Cx, to: String) -> Result<()> {
        cx.reliable(cx.actor::<Account>(&to).get(cx.key().to_owned(), 1, 1))?;
        Ok(())
    }

    pub(crate) async fn get(&mut self, from: String, times: u64, amount: i64) -> Result<()> {
        if self.closed {
            return Err(AppError::new("this account is closed"));
        }
        self.balance += amount;
        self.got.push((from, times));
        Ok(())
    }

    pub(crate) async fn close(&mut self, closed: bool) {
        self.closed = closed;
    }

    pub(crate) async fn touch(&mut self) {
        self.balance += 1;
        tokio::task::yield_now().await;
        self.balance -= 1;
        *self.paid.entry("touched".into()).or_default() += 1;
    }

    pub(crate) async fn books(&self) -> (i64, BTreeMap<String, u64>, Vec<(String, u64)>) {
        (self.balance, self.paid.clone(), self.got.clone())
    }
}

/// Everything that a killed node does ends; its calendar is virtual.
pub(crate) struct Mortal {
    tasks: Mutex<Vec<AbortHandle>>,
    begun: Instant,
}

impl Env for Mortal {
    fn unix_ms(&self) -> u64 {
        1_700_000_000_000 + self.begun.elapsed().as_millis() as u64
    }

    fn random(&self) -> u128 {
        SystemEnv.random()
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) -> AbortHandle {
        let handle = tokio::spawn(task).abort_handle();
        self.tasks.lock().push(handle.clone());
        handle
    }
}

/// What happens to messages on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Weather {
    #[default]
    Fine,
    /// Nothing arrives.
    NothingArrives,
    /// Everything arrives, and no answer comes back.
    NoAnswers,
    /// Each message has another fate: it is lost, its answer is lost, or it arrives twice.
    Bad,
}

/// The post: the engine as a transport, through the weather.
struct Post {
    engine: Arc<Engine>,
    env: SharedEnv,
    weather: Arc<Mutex<Weather>>,
    dice: AtomicU64,
}

impl Post {
    fn fate(&self) -> Weather {
        match *self.weather.lock() {
            Weather::Bad => match self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 62 {
                0 => Weather::NothingArrives,
                1 => Weather::NoAnswers,
                2 => Weather::Bad,
                _ => Weather::Fine,
            },
            weather => weather,
        }
    }

    fn bring(&self, call: Call) -> BoxFuture<'static, CallResult> {
        match self.engine.deliver(call) {
            Delivery::Here(outcome) => outcome,
            Delivery::NotServed(_) => unavailable(),
        }
    }
}

fn unavailable() -> BoxFuture<'static, CallResult> {
    std::future::ready(Err(CallError::Unavailable("bad weather".into()))).boxed()
}

impl Transport for Post {
    fn call(&self, call: Call) -> BoxFuture<'static, CallResult> {
        let fate = if call.delivery.is_some() { self.fate() } else { Weather::Fine };
        match fate {
            Weather::Fine => self.bring(call),
            Weather::NothingArrives => unavailable(),
            Weather::NoAnswers => self.bring(call).then(|_| unavailable()).boxed(),
            Weather::Bad => {
                let again = self.bring(call.clone());
                self.env.spawn(Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    drop(again.await);
                }));
                self.bring(call)
            }
        }
    }

    fn engine(&self) -> Option<&Arc<Engine>> {
        Some(&self.engine)
    }

    fn env(&self) -> &SharedEnv {
        &self.env
    }
}

/// A node with accounts.
pub(crate) struct Town {
    pub(crate) engine: Arc<Engine>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) weather: Arc<Mutex<Weather>>,
    env: Arc<Mortal>,
    post: Arc<dyn Transport>,
}

impl Town {
    /// A node over these records, as they are after a crash, whose disk takes so long to sync.
    pub(crate) fn over(records: Vec<Record>, sync: Duration, begun: Instant) -> Self {
        let disk = Arc::new(Disk::default());
        records.into_iter().for_each(|record| disk.append(record).unwrap());
        let env = Arc::new(Mortal { tasks: Mutex::default(), begun });
        let (shared, count): (SharedEnv, _) = (env.clone(), ShardCount::new(SHARDS).unwrap());
        let engine = Engine::builder(shared.clone(), count).register::<Account>().build();
        let weather = Arc::<Mutex<Weather>>::default();
        let post: Arc<dyn Transport> = Arc::new(Post {
            engine: engine.clone(),
            env: shared.clone(),
            weather: weather.clone(),
            dice: AtomicU64::new(1),
        });
        engine.set_transport(Arc::downgrade(&post));
        let shards: Vec<_> = count.shards().map(|shard| open(shard, &engine, &disk)).collect();
        let synced = disk.clone();
        env.spawn(Box::pin(async move {
            let (mut pause, mut before) = (sync, 0);
            loop {
                tokio::time::sleep(pause).await;
                for shard in &shards {
                    synced.durable(shard, shard.last().unwrap_or(Seq(0)));
                }
                // Days pass in some tests: a disk that has nothing to do looks seldom.
                let now = synced.len();
                pause = if now > before { sync } else { (pause * 2).min(Duration::from_secs(1)) };
                before = now;
            }
        }));
        Self { engine, disk, weather, env, post }
    }

    pub(crate) fn new() -> Self {
        Self::over(Vec::new(), Duration::from_millis(1), Instant::now())
    }

    pub(crate) fn account(&self, key: &str) -> <Account as Actor>::Ref {
        ActorRef::new(Origin::program(self.post.clone()), key).into()
    }

    /// Kills the node and starts it again, on what was durable.
    pub(crate) fn crash(self) -> Self {
        let begun = self.env.begun;
        self.kill();
        Self::over(self.disk.after_power_cut().records(), Duration::from_millis(1), begun)
    }

    pub(crate) fn kill(&self) {
        self.env.tasks.lock().iter().for_each(AbortHandle::abort);
    }

    /// The rows of a space in all shards, as they are durable.
    pub(crate) async fn rows(&self, space: Space) -> Vec<(Bytes, Bytes)> {
        let mut rows = Vec::new();
        for shard in ShardCount::new(SHARDS).unwrap().shards() {
            rows.extend(self.disk.rows(shard, RowRange::all(space), usize::MAX).await.unwrap());
        }
        rows
    }

    /// Waits until no message is left.
    pub(crate) async fn all_delivered(&self) {
        for _ in 0..100_000 {
            if self.rows(Space::OUTBOX).await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{} messages were not delivered", self.rows(Space::OUTBOX).await.len());
    }

    /// No money was made or lost, and everybody got what was paid, once and in order.
    pub(crate) async fn check(&self, keys: &[&str]) {
        let mut books = BTreeMap::new();
        for key in keys {
            books.insert(*key, self.account(key).books().await.unwrap());
        }
        assert_eq!(books.values().map(|(balance, _, _)| balance).sum::<i64>(), 0, "{books:?}");
        for (payer, (_, paid, _)) in &books {
            for (to, times) in paid.iter().filter(|(to, _)| *to != "touched") {
                let got = books[to.as_str()].2.iter().filter(|(from, _)| from == payer).map(|(_, n)| *n);
                assert_eq!(got.collect::<Vec<_>>(), (1..=*times).collect::<Vec<_>>(), "{payer} to {to}");
            }
        }
    }
}

fn open(shard: Shard, engine: &Arc<Engine>, disk: &Arc<Disk>) -> Arc<OwnedShard> {
    let last = disk.last(shard).now_or_never().unwrap().unwrap();
    let run = NodeRun { store: StoreId(uuid::Uuid::nil()), incarnation: Incarnation(1) };
    let (owned, opened) = OwnedShard::open(shard, Epoch(last.epoch.0 + 1), run, last, disk.clone()).unwrap();
    disk.durable(&owned, opened);
    engine.serve(owned.clone());
    owned
}
