//! The simulated compare-and-set register, with the faults that assumption A1 allows: requests and answers are lost or
//! late, a write may land long after its sender gave up, watches show old pages (but none goes back), it may be away for
//! a while, and presence lags behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use greenroom_cluster::coordination::{Coordination, Peer, ReadError, Version, Versioned, WriteError};
use greenroom_core::map::{NodeRun, Page};
use greenroom_core::{Shard, ShardLayout, StoreId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::mutation::Mutation;
use crate::observer::Event;
use crate::world::World;

/// The register.
#[derive(Clone)]
pub struct Register(Arc<Inner>);

struct Inner {
    world: Arc<World>,
    /// Every version of every page, oldest first.
    pages: Vec<Mutex<Vec<Versioned<Page>>>>,
    present: Mutex<Present>,
    changed: Notify,
    away: AtomicBool,
}

#[derive(Default)]
struct Present {
    joins: u64,
    /// By name; the number tells two joins of one name apart.
    peers: BTreeMap<String, (u64, Peer)>,
}

impl Register {
    /// A register whose map has no entries yet.
    pub fn new(world: &Arc<World>, layout: &ShardLayout) -> Self {
        let first = |page| Versioned { version: Version(1), content: Page::empty(page, layout) };
        Self(Arc::new(Inner {
            world: world.clone(),
            pages: (0..layout.pages()).map(|page| Mutex::new(vec![first(page)])).collect(),
            present: Mutex::default(),
            changed: Notify::new(),
            away: AtomicBool::new(false),
        }))
    }

    /// Begins or ends an outage.
    pub fn set_away(&self, away: bool) {
        self.0.away.store(away, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }

    /// How many writes there have been.
    pub fn writes(&self) -> usize {
        self.0.pages.iter().map(|page| page.lock().len()).sum()
    }

    /// The store that owns a shard now, whatever the nodes have seen of it; `None` before the first assignment.
    pub fn owner(&self, shard: Shard) -> Option<StoreId> {
        self.0.current(shard.page()).content.entry(shard).map(|entry| entry.owner.store)
    }

    /// What a coordinator without a reason does: gives some shards to their own owners again, at the next epoch. The
    /// protocol holds whoever writes such entries, as long as the write is a compare-and-set.
    pub fn replace_for_no_reason(&self) {
        let page = self.0.world.draw(|random| random.usize(..self.0.pages.len()));
        let mut next = self.0.current(page as u16);
        let members = self.0.current(0).content.members;
        let mut changed = Vec::new();
        let first = next.content.shard_range().start;
        for (nth, entry) in next.content.entries.iter_mut().enumerate() {
            if !self.0.world.chance(0.3) {
                continue;
            }
            let Some(owner) = members.iter().find(|member| member.store == entry.owner.store) else {
                continue;
            };
            entry.prev = Some(entry.owner.store);
            entry.owner = NodeRun { store: owner.store, incarnation: owner.incarnation };
            entry.epoch = entry.epoch.next();
            changed.push(first + nth as u16);
        }
        if !changed.is_empty() {
            self.0.world.trace.add(format!("owners replaced for no reason: shards {changed:?}"));
            let _ = self.0.write(page as u16, next.version, next.content);
        }
    }
}

impl Inner {
    /// A page as it is now.
    fn current(&self, page: u16) -> Versioned<Page> {
        self.pages[usize::from(page)].lock().last().expect("a page has a first version").clone()
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    fn write(&self, page: u16, base: Version, content: Page) -> Result<Versioned<Page>, WriteError> {
        let mut versions = self.pages[usize::from(page)].lock();
        let current = versions.last().expect("a page has a first version").clone();
        if current.version != base && !self.world.has(Mutation::RegisterForgetsConflicts) {
            return Err(WriteError::Conflict(Box::new(current)));
        }
        let replaced = current.content.entries.iter().zip(&content.entries);
        let replaced = replaced.filter(|(old, new)| new.epoch > old.epoch).count();
        self.world.tell(Event::Replaced(replaced));
        let next = Versioned { version: Version(current.version.0 + 1), content };
        self.world
            .trace
            .add(format!("register: page {page} version {} ({replaced} owners replaced)", next.version.0));
        versions.push(next.clone());
        drop(versions);
        self.changed.notify_waiters();
        Ok(next)
    }

    async fn delay(&self) {
        let conditions = self.world.conditions().register;
        let usual = conditions.delay_ms;
        let late = self.world.fault(conditions.late);
        self.world.sleep(0..if late { 3_000 } else { usual + 1 }).await;
    }

    async fn watch_lag(&self) {
        let most = if self.world.is_healed() { 5 } else { self.world.conditions().register.watch_lag_ms };
        self.world.sleep(0..most + 1).await;
    }

    /// Carries a write out, sooner or later, or never. The answer comes back if neither was lost.
    async fn carry_out(
        &self,
        page: u16,
        base: Version,
        content: Page,
    ) -> Option<Result<Versioned<Page>, WriteError>> {
        self.delay().await;
        let faults = self.world.conditions().register;
        if self.is_away() || self.world.fault(faults.lose) {
            self.world.sleep(0..2_000).await;
            return None;
        }
        let answer = self.write(page, base, content);
        if self.world.fault(faults.lose_answer) {
            self.world.trace.add(format!("register: an answer about page {page} is lost"));
            return None;
        }
        self.delay().await;
        Some(answer)
    }
}

impl Coordination for Register {
    fn read(&self, page: u16) -> BoxFuture<'static, Result<Versioned<Page>, ReadError>> {
        let register = self.0.clone();
        async move {
            register.delay().await;
            if register.is_away() {
                return Err(ReadError::Unavailable("an outage".into()));
            }
            let page = register.current(page);
            register.delay().await;
            Ok(page)
        }
        .boxed()
    }

    fn write(
        &self,
        page: u16,
        base: Version,
        content: Page,
    ) -> BoxFuture<'static, Result<Versioned<Page>, WriteError>> {
        let register = self.0.clone();
        let (report, answer) = tokio::sync::oneshot::channel();
        async move {
            // A task of the world: once it is sent, the write does not depend on its sender.
            let carrier = register.clone();
            register.world.spawn(async move {
                if let Some(answer) = carrier.carry_out(page, base, content).await {
                    let _ = report.send(answer);
                }
            });
            answer.await.unwrap_or_else(|_| Err(WriteError::Unknown("no answer".into())))
        }
        .boxed()
    }

    fn watch(&self, page: u16) -> BoxStream<'static, Versioned<Page>> {
        stream::unfold((self.0.clone(), 0), move |(register, seen)| async move {
            loop {
                let changed = register.changed.notified();
                if !register.is_away() && register.current(page).version.0 > seen {
                    break;
                }
                changed.await;
            }
            register.watch_lag().await;
            // Any version after the last one; a later one comes with the next round.
            let next = {
                let versions = register.pages[usize::from(page)].lock();
                let newer: Vec<_> = versions.iter().filter(|version| version.version.0 > seen).collect();
                newer[register.world.draw(|random| random.usize(..newer.len()))].clone()
            };
            let seen = next.version.0;
            Some((next, (register, seen)))
        })
        .boxed()
    }

    fn join(&self, me: Peer) -> BoxStream<'static, Vec<Peer>> {
        let name = me.name.clone();
        let join = {
            let mut present = self.0.present.lock();
            present.joins += 1;
            let join = present.joins;
            present.peers.insert(me.name.clone(), (join, me));
            join
        };
        self.0.changed.notify_waiters();
        let leave = Leave { register: self.0.clone(), name, join };
        stream::unfold((leave, None), |(leave, shown)| async move {
            let register = &leave.register;
            loop {
                let changed = register.changed.notified();
                let list = register.list();
                if !register.is_away() && shown.as_ref() != Some(&list) {
                    break;
                }
                changed.await;
            }
            register.watch_lag().await;
            let list = register.list();
            Some((list.clone(), (leave, Some(list))))
        })
        .boxed()
    }
}

impl Inner {
    fn list(&self) -> Vec<Peer> {
        self.present.lock().peers.values().map(|(_, peer)| peer.clone()).collect()
    }
}

/// Ends a node's presence some time after its stream is dropped.
struct Leave {
    register: Arc<Inner>,
    name: String,
    join: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let (register, name, join) = (self.register.clone(), self.name.clone(), self.join);
        self.register.world.spawn(async move {
            register.watch_lag().await;
            let mut present = register.present.lock();
            if present.peers.get(&name).is_some_and(|(present, _)| *present == join) {
                present.peers.remove(&name);
            }
            drop(present);
            register.changed.notify_waiters();
        });
    }
}
