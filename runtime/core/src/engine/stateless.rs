//! Stateless types: their calls run on any of a few workers of the node where the call is made.
//!
//! A worker is an activation that is in no directory: the key names a pool of them, no shard owns it, and no other node
//! knows of it. A call takes a worker that is free, makes one more if there are fewer than the type allows, and waits in
//! the shortest mailbox otherwise. A worker runs one call at a time, `&self` or not, so the number of workers is the
//! number of calls that a pool runs together. Workers that nobody has needed for the type's idle timeout are dropped.

use std::num::NonZero;
use std::sync::Arc;

use foldhash::quality::FixedState;
use papaya::Guard;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Core;
use super::activation::{Activation, AnyActivation, EnterError, Entry, TurnGuard};
use super::lifecycle::Leaving;
use super::types::TypeTable;
use crate::actor::{Actor, ActorMethods, ActorOptions};
use crate::identity::ActorId;
use crate::shard::OwnedShard;

/// The pools of a node that serves stateless types.
pub(super) struct Pools {
    pools: papaya::HashMap<ActorId, Arc<Pool>, FixedState>,
}

#[derive(Default)]
struct Pool {
    workers: Mutex<Vec<Arc<dyn AnyActivation>>>,
}

/// What a call finds in its pool.
enum Found<A: Actor> {
    Free(TurnGuard<A>),
    /// All work; this one has the fewest calls waiting.
    Busy(Arc<Activation<A>>),
}

impl Pools {
    pub(super) fn new(hash_seed: u64) -> Self {
        Self { pools: papaya::HashMap::with_hasher(FixedState::with_seed(hash_seed)) }
    }

    /// Drops every worker at once; for an engine that ends.
    pub(super) fn clear(&self) {
        let guard = self.pools.guard();
        self.pools.clear(&guard);
        guard.flush();
    }

    /// Drops the workers and pools that nobody has needed for long.
    pub(super) fn tidy_up(&self, engine: &Arc<Core>, now: Instant) {
        let pools = self.pools.pin();
        for (id, pool) in &pools {
            let mut workers = pool.workers.lock();
            workers.retain(|worker| {
                let table = worker.table();
                let timeout = table.options().idle_timeout;
                if !table.says_farewell() {
                    return !worker.deactivate_if_idle(now, timeout);
                }
                if worker.idle_for(now).is_some_and(|idle| idle >= timeout) {
                    let leaving = table.deactivate(engine.clone(), worker.clone(), Leaving::Idle, timeout);
                    engine.env.spawn(Box::pin(async move {
                        leaving.await;
                    }));
                }
                !worker.is_gone()
            });
            if workers.is_empty() {
                // A call that has found the pool meanwhile makes a worker in it, which ends with its call.
                pools.remove(id);
            }
        }
    }

    fn pool(&self, target: &ActorId) -> Arc<Pool> {
        self.pools.pin().get_or_insert_with(target.clone(), Arc::default).clone()
    }
}

impl Pool {
    fn find<A: ActorMethods>(
        &self,
        engine: &Arc<Core>,
        table: &Arc<TypeTable<A>>,
        target: &ActorId,
        shard: &Arc<OwnedShard>,
    ) -> Found<A> {
        let typed = |worker: &Arc<dyn AnyActivation>| {
            worker.clone().into_typed::<A>().expect("the type's name is part of the identity")
        };
        let mut workers = self.workers.lock();
        let free = workers.iter().find_map(|worker| typed(worker).enter_now(ENTRY));
        if let Some(guard) = free {
            return Found::Free(guard);
        }
        workers.retain(|worker| !worker.is_gone());
        if workers.len() >= limit(&A::OPTIONS)
            && let Some(worker) = workers.iter().min_by_key(|worker| worker.waiting())
        {
            return Found::Busy(typed(worker));
        }
        let made =
            Arc::new(Activation::<A>::new(target.clone(), shard.clone(), table.clone(), engine.clone()));
        workers.push(made.clone());
        made.clone().enter_now(ENTRY).map_or(Found::Busy(made), Found::Free)
    }
}

const ENTRY: Entry = Entry { exclusive: true, reenter: false, mailbox: 0 };

/// How many workers a pool may have.
fn limit(options: &ActorOptions) -> usize {
    match options.workers {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        workers => workers,
    }
}

impl Core {
    /// Waits for a worker. The shard is the one that stands for none.
    pub(super) async fn enter_pool<A: ActorMethods>(
        self: &Arc<Self>,
        table: &Arc<TypeTable<A>>,
        target: &ActorId,
        shard: &Arc<OwnedShard>,
    ) -> Result<TurnGuard<A>, EnterError> {
        let Some(pools) = &self.pools else { return Err(EnterError::Gone) };
        let entry = Entry { mailbox: A::OPTIONS.mailbox, ..ENTRY };
        loop {
            let busy = match pools.pool(target).find::<A>(self, table, target, shard) {
                Found::Free(guard) => return Ok(guard),
                Found::Busy(worker) => worker,
            };
            match busy.enter(entry).await {
                Err(EnterError::Gone) => {}
                entered => return entered,
            }
        }
    }
}
