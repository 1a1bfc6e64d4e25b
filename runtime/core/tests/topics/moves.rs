//! Broadcasts while shards move: what the sender believes about owners may be old, or nothing.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::actor::Actor;
use greenroom_core::call::{Call, CallResult};
use greenroom_core::engine::{Delivery, Engine};
use greenroom_core::env::{SharedEnv, SystemEnv};
use greenroom_core::error::CallError;
use greenroom_core::identity::{ActorId, Epoch, Incarnation, Seq, Shard, ShardCount, StoreId};
use greenroom_core::journal::Journal;
use greenroom_core::layout::ShardRange;
use greenroom_core::map::NodeRun;
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::shard::OwnedShard;
use greenroom_core::transport::Transport;
use parking_lot::Mutex;

use crate::hall::{Member, MemberRef, line};
use crate::support::Disk;

const SHARDS: u16 = 8;
/// How long a call takes to its node.
const UNDER_WAY: Duration = Duration::from_millis(10);

/// Brings each call to the node that serves its shard when it arrives, and a broadcast's messages twice. Of owners it tells
/// what it believes.
struct Link {
    here: usize,
    engines: OnceLock<[Arc<Engine>; 2]>,
    believed: Mutex<Vec<Option<String>>>,
    env: SharedEnv,
}

impl Transport for Link {
    fn call(&self, call: Call) -> BoxFuture<'static, CallResult> {
        let engines = self.engines.wait().clone();
        async move {
            tokio::time::sleep(UNDER_WAY).await;
            if call.target.actor_type.as_str() == "greenroom.Broadcast" {
                deliver(&engines, call.clone()).await?;
            }
            deliver(&engines, call).await
        }
        .boxed()
    }

    fn engine(&self) -> Option<&Arc<Engine>> {
        Some(&self.engines.wait()[self.here])
    }

    fn owners(&self, shards: ShardRange) -> Vec<Option<String>> {
        let believed = self.believed.lock();
        shards.shards().map(|shard| believed[usize::from(shard.0)].clone()).collect()
    }

    fn env(&self) -> &SharedEnv {
        &self.env
    }
}

async fn deliver(engines: &[Arc<Engine>], mut call: Call) -> CallResult {
    for engine in engines {
        match engine.deliver(call) {
            Delivery::Here(outcome) => return outcome.await,
            Delivery::NotServed(back) => call = back,
        }
    }
    Err(CallError::Unavailable("nobody serves it".into()))
}

/// Two nodes over one disk that is as fast as memory. Each has every other shard, and both know it.
struct Pair {
    links: [Arc<Link>; 2],
    disk: Arc<Disk>,
    owned: Mutex<Vec<(usize, Arc<OwnedShard>)>>,
}

impl Pair {
    fn new() -> Arc<Self> {
        let (count, env): (_, SharedEnv) = (ShardCount::new(SHARDS).unwrap(), Arc::new(SystemEnv));
        let engines = [(); 2].map(|()| Engine::builder(env.clone(), count).register::<Member>().build());
        let believed: Vec<_> = count.shards().map(|shard| Some((shard.0 % 2).to_string())).collect();
        let links = [0, 1].map(|here| {
            let (engines, believed) = (OnceLock::from(engines.clone()), Mutex::new(believed.clone()));
            Arc::new(Link { here, engines, believed, env: env.clone() })
        });
        for (link, engine) in links.iter().zip(&engines) {
            let transport: Arc<dyn Transport> = link.clone();
            engine.set_transport(Arc::downgrade(&transport));
        }
        let pair = Self { links, disk: Arc::default(), owned: Mutex::default() };
        for shard in count.shards() {
            let owned = pair.open(shard, usize::from(shard.0 % 2));
            pair.owned.lock().push(owned);
        }
        let pair = Arc::new(pair);
        let disk = Arc::downgrade(&pair);
        tokio::spawn(async move {
            while let Some(pair) = disk.upgrade() {
                for (_, owned) in &*pair.owned.lock() {
                    pair.disk.durable(owned, owned.last().unwrap_or(Seq(0)));
                }
                drop(pair);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        pair
    }

    fn engine(&self, node: usize) -> &Arc<Engine> {
        &self.links[0].engines.wait()[node]
    }

    fn open(&self, shard: Shard, node: usize) -> (usize, Arc<OwnedShard>) {
        let last = self.disk.last(shard).now_or_never().unwrap().unwrap();
        let run =
            NodeRun { store: StoreId(uuid::Uuid::from_u128(node as u128)), incarnation: Incarnation(1) };
        let (owned, open) =
            OwnedShard::open(shard, Epoch(last.epoch.0 + 1), run, last, self.disk.clone()).unwrap();
        self.disk.durable(&owned, open);
        self.engine(node).serve(owned.clone());
        (node, owned)
    }

    /// To the other node. Who lives in it leaves memory; what the nodes believe stays.
    fn move_away(&self, shard: Shard) {
        let (node, before) = self.owned.lock()[usize::from(shard.0)].clone();
        before.close();
        self.engine(node).step_down(shard);
        let moved = self.open(shard, 1 - node);
        self.owned.lock()[usize::from(shard.0)] = moved;
    }

    fn member(&self, key: &str) -> MemberRef {
        ActorRef::<Member>::new(self.origin(), key).into()
    }

    fn origin(&self) -> Origin {
        Origin::program(self.links[0].clone())
    }

    fn is_active(&self, key: &str) -> bool {
        let id: ActorId = format!("{}/{key}", Member::TYPE).parse().unwrap();
        (0..2).any(|node| self.engine(node).placement(&id).is_some())
    }

    /// All members are in memory.
    async fn gather(&self, keys: &[String]) {
        for key in keys {
            self.member(key).heard().await.unwrap();
        }
    }
}

fn shard_of(key: &str) -> Shard {
    let id: ActorId = format!("{}/{key}", Member::TYPE).parse().unwrap();
    id.shard(ShardCount::new(SHARDS).unwrap())
}

/// From a program and from a turn; with old knowledge of the owners, and with none. The first of a node's shards is the one
/// that the message to that node is addressed to.
#[tokio::test(start_paused = true)]
async fn a_broadcast_finds_what_has_moved_and_tells_nobody_twice() {
    let keys: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    for moved in [&[0][..], &[2, 5], &[0, 1, 4], &[0, 1, 2, 3, 4, 5, 6, 7]] {
        for knows in [true, false] {
            let pair = Pair::new();
            pair.gather(&keys).await;
            moved.iter().for_each(|shard| pair.move_away(Shard(*shard)));
            pair.gather(&keys).await;
            if !knows {
                pair.links.iter().for_each(|link| link.believed.lock().fill(None));
            }
            pair.member("m1").everybody("turn".into()).await.unwrap();
            greenroom_core::broadcast(&pair.origin(), |member: MemberRef| member.hear(line("program")))
                .unwrap();
            tokio::time::sleep(UNDER_WAY * 10).await;
            for key in &keys {
                let mut heard = pair.member(key).heard().await.unwrap();
                heard.sort();
                assert_eq!(heard, ["program", "turn"], "{key}, {moved:?}, {knows}");
            }
        }
    }
}

/// Its messages are on their way when shards move: those to the other node, which has the odd ones, or those that pass it on.
#[tokio::test(start_paused = true)]
async fn a_broadcast_that_shards_overtake_tells_the_others_and_brings_nobody_back() {
    let keys: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    for (at_first, later) in [(&[1][..], &[][..]), (&[2, 5], &[]), (&[1], &[3, 7]), (&[0, 1, 3, 7], &[3, 7])]
    {
        let pair = Pair::new();
        pair.gather(&keys).await;
        greenroom_core::broadcast(&pair.origin(), |member: MemberRef| member.hear(line("news"))).unwrap();
        at_first.iter().for_each(|shard| pair.move_away(Shard(*shard)));
        tokio::time::sleep(UNDER_WAY * 3 / 2).await;
        later.iter().for_each(|shard| pair.move_away(Shard(*shard)));
        let moved = [at_first, later].concat();
        tokio::time::sleep(UNDER_WAY * 10).await;
        for key in &keys {
            let gone = moved.contains(&shard_of(key).0);
            assert_eq!(pair.is_active(key), !gone, "{key}, {moved:?}");
            let heard = pair.member(key).heard().await.unwrap();
            // One that has left may have heard it before.
            assert!(heard == ["news"] || gone && heard.is_empty(), "{key}, {moved:?}: {heard:?}");
        }
    }
}
