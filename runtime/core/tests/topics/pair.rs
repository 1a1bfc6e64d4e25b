//! Two nodes between which shards move.

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

use crate::hall::{Member, MemberRef};
use crate::support::Disk;

const SHARDS: u16 = 8;
/// How long a call takes to its node.
pub(crate) const UNDER_WAY: Duration = Duration::from_millis(10);

/// Brings each call to the node that serves its shard when it arrives, and a broadcast's messages twice. Of owners it tells
/// what it believes.
pub(crate) struct Link {
    here: usize,
    engines: OnceLock<[Arc<Engine>; 2]>,
    pub(crate) believed: Mutex<Vec<Option<String>>>,
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
pub(crate) struct Pair {
    pub(crate) links: [Arc<Link>; 2],
    disk: Arc<Disk>,
    owned: Mutex<Vec<(usize, Arc<OwnedShard>)>>,
}

impl Pair {
    pub(crate) fn new() -> Arc<Self> {
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
    pub(crate) fn move_away(&self, shard: Shard) {
        let (node, before) = self.owned.lock()[usize::from(shard.0)].clone();
        before.close();
        self.engine(node).step_down(shard);
        let moved = self.open(shard, 1 - node);
        self.owned.lock()[usize::from(shard.0)] = moved;
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = Shard> {
        ShardCount::new(SHARDS).unwrap().shards()
    }

    pub(crate) fn member(&self, key: &str) -> MemberRef {
        ActorRef::<Member>::new(self.origin(), key).into()
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::program(self.links[0].clone())
    }

    pub(crate) fn is_active(&self, key: &str) -> bool {
        let id: ActorId = format!("{}/{key}", Member::TYPE).parse().unwrap();
        (0..2).any(|node| self.engine(node).placement(&id).is_some())
    }

    /// All members are in memory.
    pub(crate) async fn gather(&self, keys: &[String]) {
        for key in keys {
            self.member(key).heard().await.unwrap();
        }
    }

    /// All of them listen to the lobby for as long as they are in memory.
    pub(crate) async fn listen(&self, keys: &[String]) {
        for key in keys {
            self.member(key).listen_while_active("chat/lobby".into()).await.unwrap();
        }
    }
}

/// Where a member lives.
pub(crate) fn shard_of(key: &str) -> Shard {
    shard(&format!("{}/{key}", Member::TYPE))
}

/// Where the subscriptions to a channel are.
pub(crate) fn channel_shard(channel: &str) -> Shard {
    shard(&format!("greenroom.Topic/{channel}"))
}

fn shard(actor: &str) -> Shard {
    actor.parse::<ActorId>().unwrap().shard(ShardCount::new(SHARDS).unwrap())
}
