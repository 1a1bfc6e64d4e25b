//! The turn engine: which actors are in memory here, and how their turns run.
//!
//! - `directory`: which actors are in memory, by identity.
//! - `activation`: the actor in memory, its turn lock and its mailbox.
//! - `turn`: one method call as a transaction, with the output gate.
//! - `around`: what is around a turn, whatever asks for it: filters and its span.
//! - `turnstile`: how many turns run; `drain`: the wait for their end.
//! - `begin`: what a call made in this process does when it is first polled, at best the whole turn.
//! - `lifecycle`: hooks, and how actors leave memory.
//! - `homes`: in which shards the actors of a type are.
//! - `nowhere`: where types run that have no shard; `local`: an actor of each key on every node.
//! - `stateless`: the workers of types without identity; `supervision`: what follows from panics.
//! - `memory`: what becomes of actors when memory gets scarce.
//! - `immediate`: the whole turn of a method that cannot wait, without a future of its own.
//! - `handoff`: such turns in the mailbox of a busy actor.
//! - `inline`: a turn runs on its caller's task while it can, and moves to a task of its own when it must.
//! - `write_behind`: where the changes of relaxed turns wait to be written.
//! - `window`: the calls that an actor remembers, so that a repeated call is applied once.
//! - `tell`: a turn whose reply nobody waits for; `post`: where what turns tell others waits for the output gate.
//! - `delivery`: takes a reliable message exactly once.
//! - `outbox`: sends reliable messages until they are applied.
//! - `reminders`: calls that are due at times which are kept; `errand`: what such a call does in its turn's commit.
//! - `timers`: calls of an actor by itself, while it is in memory; `ticks`: the same at a fixed rate, for thousands.
//! - `streams`: the reply streams that actors have open.
//! - `sessions`: subscriptions to topics that last as long as an activation.
//! - `types`: the table of actor types and their methods by name.
//! - `hot`: which actors answer the most calls.
//! - `deadlock`: finds cycles of calls that do not come from one another.
//! - `windows`: turns inside a turn that has lent its state.
//! - `listing`: what the engine tells about itself; `snapshot`: which actors are in memory, a page at a time.
//! - `changes`: what came into memory and left it lately, for those who follow it; `clock` stamps it.

mod activation;
mod around;
mod begin;
mod changes;
mod clock;
mod deadlock;
mod delivery;
mod directory;
mod drain;
mod errand;
mod followers;
mod handoff;
mod homes;
mod hot;
mod immediate;
mod inline;
mod items;
mod lifecycle;
mod listing;
mod local;
mod memory;
mod nowhere;
mod outbox;
mod post;
pub(crate) mod reminders;
mod scratch;
mod sessions;
mod snapshot;
mod state;
mod stateless;
pub(crate) mod streams;
mod supervision;
mod tell;
mod ticks;
mod timers;
mod turn;
mod turnstile;
mod types;
mod window;
mod windows;
mod write_behind;

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use foldhash::quality::FixedState;
use futures_util::future::BoxFuture;

pub(crate) use activation::AnyActivation;
pub use activation::{Loaded, SharedState};
pub(crate) use begin::Begun;
pub use changes::{CHANGES_MAX, Change, Changes, ChangesError};
pub use clock::Stamp;
pub(crate) use deadlock::Awaited;
pub(crate) use handoff::{Handed, Waiting};
pub use hot::HotActor;
pub use lifecycle::{Hooks, Leaving, deactivate_anywhere};
pub use listing::{EngineStats, KindCount, MethodInfo, Placement, TypeInfo};
pub use memory::MemoryLimits;
pub use outbox::DeadLetterError;
pub(crate) use outbox::{IN_ORDER, Letter, LetterId, Message, Place};
pub(crate) use post::{Outgoing, Post};
pub use reminders::ReminderStats;
pub(crate) use sessions::{SESSION, SessionMessage, SessionSubscription, Since};
pub use snapshot::PlacementsPage;
pub use state::OldState;
pub use ticks::TickStats;
pub(crate) use ticks::{NewTicker, Ticker, Ticking};
pub(crate) use timers::{Cancel, NewTimer, SelfCall};
pub use turn::MAX_STATE_BYTES;
pub use types::MethodEntry;
pub(crate) use windows::Window;
pub(crate) use write_behind::WriteBehind;

use crate::actor::{Actor, ActorMethods, Method};
use crate::broadcast::Broadcaster;
use crate::call::{Call, CallContext, CallResult};
use crate::codec::Payload;
use crate::collections::overlay::Overlay;
use crate::dead_letters::DeadLetters;
use crate::env::SharedEnv;
use crate::error::CallError;
use crate::filter::{Filter, Filters};
use crate::identity::{ActorId, Shard};
use crate::index::Librarian;
use crate::layout::ShardLayout;
use crate::rows::{RowFollower, Space};
use crate::shard::OwnedShard;
use crate::streams::wire::{CLOSE, NEXT};
use crate::topics::{Channel, Courier, Subscription, TypeSubscriptions};
use crate::trace;
use crate::transport::{SharedTransport, Transport};
use crate::workflow::{Launchers, Runners};
use activation::Activation;
use changes::ChangeLog;
use directory::Directory;
use followers::Followers;
use snapshot::Snapshots;
use turnstile::Turnstile;
use types::{Dispatch, TypeTable};

/// The turn engine of one node. Whoever holds it keeps the activations in memory.
///
/// What it does stands in [`Core`], which activations and turns hold too: they find the directory without a detour.
/// Activations are in the directory, so they would hold each other for ever; the end of the engine empties it.
pub struct Engine(Arc<Core>);

impl Deref for Engine {
    type Target = Arc<Core>;
    fn deref(&self) -> &Arc<Core> {
        &self.0
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.0.reminders.stop();
        self.0.streams.close_all("the node has stopped");
        // Threads that remember the engine keep no journal and no actor.
        self.0.owned.iter().for_each(|shard| shard.store(None));
        self.0.directory.clear();
        self.0.workflows.stop();
        if let Some(pools) = &self.0.pools {
            pools.clear();
        }
    }
}

/// The engine, for those who live in it; see [`Engine`].
pub struct Core {
    env: SharedEnv,
    layout: ShardLayout,
    foreign_homes: homes::ForeignHomes,
    /// By wire name, in a fixed order.
    types: BTreeMap<&'static str, Arc<dyn Dispatch>>,
    /// The same tables, for calls that know their type at compile time.
    typed: HashMap<TypeId, Arc<dyn Dispatch>, FixedState>,
    /// Every activation of this node. The hash seed comes from the environment: not guessable by who chooses keys, and
    /// the same again in a replayed simulation.
    directory: Directory,
    change_log: ChangeLog,
    snapshots: Snapshots,
    lifecycle: lifecycle::Lifecycle,
    memory: memory::Memory,
    hot: hot::HotActors,
    supervision: supervision::Supervision,
    /// `None` if no type is stateless.
    pools: Option<stateless::Pools>,
    /// `None` if all types have a shard.
    nowhere: Option<Arc<OwnedShard>>,
    /// Filters of the calls that turns here answer, and of those that are made here.
    incoming: Filters,
    outgoing: Filters,
    /// No call may take the short way, because filters or traces want to know of it.
    long_way: bool,
    waits: deadlock::Waits,
    windows: windows::Windows,
    followers: Followers,
    reminders: Arc<reminders::Reminders>,
    timers: timers::Timers,
    ticks: ticks::Ticks,
    streams: streams::Streams,
    sessions: sessions::Sessions,
    /// What types listen to, without anybody who subscribes.
    type_subscriptions: TypeSubscriptions,
    dead_letters: DeadLetters,
    outbox: Arc<outbox::Outbox>,
    workflows: Arc<Runners>,
    /// What turns have changed in maps and lists and the journal does not show yet.
    overlay: Arc<Overlay>,
    owned: Vec<ArcSwapOption<OwnedShard>>,
    /// Weak, because the transport of a node holds its engine.
    transport: OnceLock<Weak<dyn Transport>>,
    turns: Turnstile,
}

/// What becomes of an encoded call.
pub enum Delivery {
    /// It runs here. The future applies the call's deadline; dropping it cancels the turn.
    Here(BoxFuture<'static, CallResult>),
    /// Its shard is not served here.
    NotServed(Call),
}

/// What becomes of a typed call made in this process.
pub enum Local<M: Method> {
    /// It ran here.
    Done(Result<M::Reply, CallError<M::Error>>),
    /// Its shard is not served here: nothing has happened.
    Elsewhere(CallContext, M::Arguments),
    /// It began here, and its shard moved away. Nothing remains of it here; it may be repeated with the same id.
    Moved(CallContext, Payload),
}

/// Registers actor types and makes the engine.
pub struct EngineBuilder {
    env: SharedEnv,
    layout: ShardLayout,
    types: BTreeMap<&'static str, Arc<dyn Dispatch>>,
    typed: HashMap<TypeId, Arc<dyn Dispatch>, FixedState>,
    followers: Followers,
    incoming: Filters,
    outgoing: Filters,
    pub(crate) launchers: Launchers,
}

impl EngineBuilder {
    /// Serves this type. Registering a type twice changes nothing.
    ///
    /// # Panics
    /// If another type has the same name: that is a mistake of the program, and no call could tell them apart.
    pub fn register<A: ActorMethods>(mut self) -> Self {
        let table: Arc<dyn Dispatch> = Arc::new(TypeTable::<A>::new(&self.layout));
        self.typed.entry(TypeId::of::<A>()).or_insert_with(|| {
            let before = self.types.insert(A::TYPE, table.clone());
            assert!(
                before.is_none(),
                "two actor types are named {:?}; rename one with #[actor(name = \"…\")]",
                A::TYPE
            );
            table
        });
        if A::INDEXES.is_empty() { self } else { self.register::<Librarian>() }
    }

    /// Lets somebody work on the rows of this space.
    pub fn follow(mut self, space: Space, follower: Arc<dyn RowFollower>) -> Self {
        self.followers.push((space, follower));
        self
    }

    /// Runs this filter around every turn of this node, however it is asked for.
    pub fn incoming(mut self, filter: impl Filter) -> Self {
        self.incoming.push(filter);
        self
    }

    /// Runs this filter around every call and every message that turns and programs of this node send.
    pub fn outgoing(mut self, filter: impl Filter) -> Self {
        self.outgoing.push(filter);
        self
    }

    /// The engine. It serves no shard yet.
    pub fn build(mut self) -> Arc<Engine> {
        homes::warn_of_missing_groups(&self.layout, &self.types);
        let seed = self.env.random() as u64;
        let stateless = self.types.values().any(|table| table.options().stateless);
        let overlay = Arc::new(Overlay::new(self.layout.total()));
        self.followers.push((Space::ITEM, overlay.clone()));
        let outbox = outbox::Outbox::new(self.env.clone());
        self.followers.push((Space::OUTBOX, outbox.clone()));
        let reminders = reminders::Reminders::new(self.env.clone());
        self.followers.push((Space::DUE, reminders.clone()));
        let workflows = Runners::new(self.env.clone(), self.launchers);
        self.followers.push((Space::WORKFLOW, workflows.clone()));
        let core = Arc::new(Core {
            owned: self.layout.all().shards().map(|_| ArcSwapOption::empty()).collect(),
            directory: Directory::new(seed),
            change_log: ChangeLog::new(self.env.now()),
            snapshots: Snapshots::default(),
            lifecycle: lifecycle::Lifecycle::default(),
            memory: memory::Memory::default(),
            hot: hot::HotActors::default(),
            supervision: supervision::Supervision::default(),
            pools: stateless.then(|| stateless::Pools::new(seed)),
            nowhere: nowhere::open(&self.types),
            long_way: !self.incoming.is_empty() || !self.outgoing.is_empty() || trace::is_on(),
            incoming: self.incoming,
            outgoing: self.outgoing,
            waits: deadlock::Waits::default(),
            windows: windows::Windows::default(),
            followers: self.followers,
            reminders,
            timers: timers::Timers::default(),
            ticks: ticks::Ticks::default(),
            streams: streams::Streams::default(),
            sessions: sessions::Sessions::default(),
            type_subscriptions: TypeSubscriptions::new(self.types.values().flat_map(|table| table.topics())),
            dead_letters: DeadLetters::default(),
            outbox: outbox.clone(),
            workflows,
            overlay,
            env: self.env,
            layout: self.layout,
            foreign_homes: homes::ForeignHomes::default(),
            types: self.types,
            typed: self.typed,
            transport: OnceLock::new(),
            turns: Turnstile::default(),
        });
        outbox.attach(&core);
        core.workflows.attach(&core);
        core.env.spawn(Box::pin(deactivate_idle(Arc::downgrade(&core))));
        core.reminders.start(&core);
        Arc::new(Engine(core))
    }
}

impl Engine {
    /// Begins an engine for a cluster with these shards.
    pub fn builder(env: SharedEnv, layout: impl Into<ShardLayout>) -> EngineBuilder {
        let nothing = EngineBuilder {
            env,
            layout: layout.into(),
            types: BTreeMap::new(),
            typed: HashMap::with_hasher(FixedState::default()),
            followers: Followers::new(),
            incoming: Filters::default(),
            outgoing: Filters::default(),
            launchers: Launchers::default(),
        };
        // Whoever serves anything can publish and broadcast.
        nothing.register::<Channel>().register::<Courier>().register::<Broadcaster>()
    }
}

impl Core {
    /// Sets what turns call other actors through. To be called once, before the first call.
    pub fn set_transport(&self, transport: Weak<dyn Transport>) {
        // A second call would be a mistake of the node, and the first transport is as good as the second.
        let _ = self.transport.set(transport);
    }

    /// What is around all that turns and programs of this node send.
    pub(crate) fn outgoing(&self) -> &Filters {
        &self.outgoing
    }

    /// What types of this node listen to this topic, and with which of their actors.
    pub(crate) fn type_subscriptions(&self, topic: &str) -> impl Iterator<Item = Subscription> {
        self.type_subscriptions.matching(topic)
    }

    /// What the reminders of this node have done.
    pub fn reminder_stats(&self) -> ReminderStats {
        self.reminders.stats()
    }

    /// The workflows' functions that run here.
    pub(crate) fn workflows(&self) -> &Arc<Runners> {
        &self.workflows
    }

    /// The messages that nobody took.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    /// Time, tasks and randomness.
    pub fn env(&self) -> &SharedEnv {
        &self.env
    }

    /// From now on the calls of this shard run here. To be called when its Open record is committed.
    pub fn serve(&self, shard: Arc<OwnedShard>) {
        let slot = &self.owned[usize::from(shard.shard().0)];
        slot.store(Some(shard.clone()));
        self.tell_opened(&shard);
    }

    /// Serves the shard no longer: drops its activations and everything they have not said yet. Idempotent.
    ///
    /// A turn that is running cannot commit and cannot speak any more; its caller is told `Unavailable`.
    pub fn step_down(&self, shard: Shard) {
        let Some(owned) = self.owned[usize::from(shard.0)].swap(None) else { return };
        owned.close();
        self.tell_closed(&owned);
        let directory = self.directory.pin();
        let mut leaving: Vec<_> =
            directory.iter().filter(|activation| Arc::ptr_eq(activation.shard(), &owned)).cloned().collect();
        leaving.sort_by(|a, b| a.id().cmp(b.id()));
        for activation in leaving {
            activation.abandon();
            self.forget(&activation);
        }
    }

    /// The shard, if it is served here.
    pub fn owned(&self, shard: Shard) -> Option<Arc<OwnedShard>> {
        self.owned.get(usize::from(shard.0))?.load_full()
    }

    /// Runs an encoded call, if its shard is served here.
    pub fn deliver(self: &Arc<Self>, mut call: Call) -> Delivery {
        let Some(shard) = self.place_of(&call.target) else {
            return Delivery::NotServed(call);
        };
        self.forget_local_frames(&mut call.context.chain);
        match self.types.get(call.target.actor_type.as_str()) {
            Some(table) => Delivery::Here(table.deliver(self.clone(), shard, call)),
            None => {
                let error = self.unknown_type(call.target.actor_type.as_str());
                Delivery::Here(Box::pin(std::future::ready(Err(error))))
            }
        }
    }

    /// Runs a typed call without encoding it, if its shard is served here.
    pub async fn call_local<M: Method>(
        self: &Arc<Self>,
        target: &ActorId,
        context: CallContext,
        arguments: M::Arguments,
    ) -> Local<M> {
        let owned = self.place_of(target);
        match (owned, self.typed.contains_key(&TypeId::of::<M::Actor>())) {
            (Some(shard), true) => turn::call_typed(self, shard, target, context, arguments).await,
            _ => Local::Elsewhere(context, arguments),
        }
    }

    /// Takes no further calls from outside, waits until the turns that run have ended and their commits are durable,
    /// at most `timeout`. Returns how many turns were still running then.
    pub async fn drain(self: &Arc<Self>, timeout: Duration) -> usize {
        self.streams.close_all("the node is draining");
        let farewell = async {
            self.deactivate_all().await;
            self.settle_all().await;
        };
        self.turns.drain(timeout, farewell).await
    }

    /// The activation of an actor, made if it is not there. `None` if the shard is owned at a later epoch by now: a turn
    /// that was overtaken must not put its activation in the place of the one that serves. `None`, too, if there is no
    /// memory for one more.
    fn activation<A: ActorMethods>(
        self: &Arc<Self>,
        target: &ActorId,
        shard: &Arc<OwnedShard>,
    ) -> Option<Arc<Activation<A>>> {
        loop {
            let Some(found) = self.directory.get(target) else {
                if !self.memory.admits() {
                    return None;
                }
                let table = self.table_of::<A>().expect("the caller has found the type");
                let made = Activation::<A>::new(target.clone(), shard.clone(), table, self.clone());
                let made = Arc::new(made);
                if self.directory.insert(made.clone()) {
                    self.record_change(&*made);
                    return Some(made);
                }
                continue;
            };
            if Arc::ptr_eq(found.shard(), shard) {
                return Some(found.into_typed::<A>().expect("the type's name is part of the identity"));
            }
            if found.shard().epoch() > shard.epoch() {
                return None;
            }
            // A leftover of an earlier epoch, whose step down is under way.
            self.forget(&found);
        }
    }

    /// Takes the activation of this actor out of the directory if it has left memory.
    fn forget_gone(&self, target: &ActorId) {
        self.remove_if(target, |current| current.is_gone());
    }

    /// Takes an activation that has gone out of the directory.
    fn forget(&self, gone: &Arc<dyn AnyActivation>) {
        self.remove_if(gone.id(), |current| Arc::ptr_eq(current, gone));
    }

    fn remove_if(&self, target: &ActorId, such: impl Fn(&Arc<dyn AnyActivation>) -> bool) {
        if let Some(removed) = self.directory.remove_if(target, such) {
            self.record_change(&*removed);
            self.streams.left(target);
        }
    }

    /// The table of a type that is served here.
    fn table_of<A: Actor>(&self) -> Option<Arc<TypeTable<A>>> {
        let table: Arc<dyn Any + Send + Sync> = self.typed.get(&TypeId::of::<A>())?.clone();
        table.downcast().ok()
    }

    fn unknown_type<E>(&self, name: &str) -> CallError<E> {
        let known: Vec<_> = self.types.keys().copied().filter(|name| !name.starts_with(INTERNAL)).collect();
        CallError::NotFound(format!("no actor type {name:?}; this node serves {}", known.join(", ")))
    }

    /// What turns call other nodes through; `None` while the node stops.
    pub(crate) fn transport(&self) -> Option<SharedTransport> {
        self.transport.get()?.upgrade()
    }

    /// What is to be done every now and then.
    fn tidy_up(self: &Arc<Self>) {
        let now = self.env.now();
        self.deactivate_idle_now();
        self.tidy_supervision(now);
        if let Some(pools) = &self.pools {
            pools.tidy_up(self, now);
        }
        self.change_log.rest_if_unused(now);
        self.overlay.prune();
        self.streams.tidy_up(now);
        self.prune_sessions(now);
        self.snapshots.drop_if_unused(now);
    }

    /// How often to look for idle activations: a tenth of the shortest idle timeout, between 100 ms and 30 s.
    fn idle_check_period(&self) -> Duration {
        let shortest = self.types.values().map(|table| table.options().idle_timeout).min();
        (shortest.unwrap_or(Duration::MAX) / 10).clamp(Duration::from_millis(100), Duration::from_secs(30))
    }
}

/// Whether only nodes call this method. Their own begin with `@`, which no method of an actor does; what consumers of
/// streams call is for everybody.
pub fn is_for_nodes_only(method: &str) -> bool {
    method.starts_with('@') && ![NEXT, CLOSE].contains(&method)
}

/// How the names of Greenroom's own actor types begin.
pub(crate) const INTERNAL: &str = "greenroom.";

async fn deactivate_idle(engine: Weak<Core>) {
    loop {
        let Some(period) = engine.upgrade().map(|engine| engine.idle_check_period()) else { return };
        tokio::time::sleep(period).await;
        let Some(engine) = engine.upgrade() else { return };
        engine.tidy_up();
    }
}

#[cfg(test)]
mod tests;
