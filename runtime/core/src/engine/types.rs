//! The table of an actor type: its methods by name, and what is counted about it.

use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Core;
use super::activation::AnyActivation;
use super::deadlock::{self, PROBE};
use super::errand::{self, SharedErrand};
use super::inline::Pace;
use super::lifecycle::{self, DEACTIVATE, Leaving};
use super::listing::{MethodInfo, TypeInfo};
use super::sessions::SESSION;
use super::{delivery, streams, tell, turn};
use crate::actor::{Access, Actor, ActorMethods, ActorOptions, Durability, Method};
use crate::call::{Call, CallResult, Delivery};
use crate::codec::Payload;
use crate::error::CallError;
use crate::identity::{ActorId, ActorType};
use crate::layout::{ShardLayout, ShardRange};
use crate::shard::OwnedShard;
use crate::stripes::Striped;
use crate::topics::TypeSubscription;

/// Takes a reliable message.
type Receive = fn(Arc<Core>, Arc<OwnedShard>, Call, Arc<Delivery>) -> BoxFuture<'static, CallResult>;

/// A method of the actor type `A` in the table of its type.
pub struct MethodEntry<A> {
    name: &'static str,
    index: usize,
    exclusive: bool,
    durability: Durability,
    arguments: &'static [&'static str],
    /// The pattern of topics that it listens to.
    topic: Option<&'static str>,
    invoke: fn(Arc<Core>, Arc<OwnedShard>, Call) -> BoxFuture<'static, CallResult>,
    tell: fn(&Arc<Core>, Arc<OwnedShard>, Call),
    receive: Receive,
    call_with_errand: fn(Arc<Core>, Arc<OwnedShard>, Call, SharedErrand) -> BoxFuture<'static, CallResult>,
    actor: PhantomData<fn() -> A>,
}

impl<A: Actor> MethodEntry<A> {
    /// The entry of the method `M`.
    pub fn of<M: Method<Actor = A>>() -> Self {
        Self {
            name: M::NAME,
            index: M::INDEX,
            exclusive: M::Access::EXCLUSIVE,
            durability: M::DURABILITY,
            arguments: M::ARGUMENTS,
            topic: None,
            invoke: |engine, shard, call| turn::call_encoded::<M>(engine, shard, call).boxed(),
            tell: tell::encoded::<M>,
            receive: |engine, shard, call, delivery| {
                delivery::receive::<M>(engine, shard, call, delivery).boxed()
            },
            call_with_errand: |engine, shard, call, errand| {
                errand::call::<M>(engine, shard, call, errand).boxed()
            },
            actor: PhantomData,
        }
    }

    /// The method listens to the topics of this pattern.
    pub fn on_topic(self, pattern: &'static str) -> Self {
        Self { topic: Some(pattern), ..self }
    }

    /// The wire name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// True for `&mut self`.
    pub fn exclusive(&self) -> bool {
        self.exclusive
    }

    /// The names of the arguments.
    pub fn arguments(&self) -> &'static [&'static str] {
        self.arguments
    }
}

/// A type's table, whatever the type.
pub(crate) trait Dispatch: Any + Send + Sync {
    fn options(&self) -> &'static ActorOptions;
    /// The shards that its actors are in.
    fn home(&self) -> ShardRange;
    fn counters(&self) -> &TypeCounters;
    fn pace(&self) -> &Arc<Pace>;
    fn info(&self) -> TypeInfo;
    /// What its methods listen to.
    fn topics(&self) -> Vec<TypeSubscription>;
    /// Whether `#[on_deactivate]` runs.
    fn says_farewell(&self) -> bool;
    /// Takes an activation of this type out of memory in a turn; see `lifecycle`.
    fn deactivate(
        &self,
        engine: Arc<Core>,
        activation: Arc<dyn AnyActivation>,
        why: Leaving,
        at_least: Duration,
    ) -> BoxFuture<'static, bool>;
    fn deliver(
        &self,
        engine: Arc<Core>,
        shard: Arc<OwnedShard>,
        call: Call,
    ) -> BoxFuture<'static, CallResult>;
    /// Runs a call with an errand: there is no reply.
    fn call_with_errand(
        &self,
        engine: Arc<Core>,
        shard: Arc<OwnedShard>,
        call: Call,
        errand: SharedErrand,
    ) -> BoxFuture<'static, CallResult>;
    /// Commits the rows of an errand without a call.
    fn run_errand(
        &self,
        engine: Arc<Core>,
        shard: Arc<OwnedShard>,
        actor: ActorId,
        errand: SharedErrand,
    ) -> BoxFuture<'static, Result<(), String>>;
    /// Starts a call whose reply nobody waits for.
    fn tell(&self, engine: &Arc<Core>, shard: Arc<OwnedShard>, call: Call);
}

pub(crate) struct TypeTable<A> {
    methods: BTreeMap<&'static str, MethodEntry<A>>,
    home: ShardRange,
    counters: TypeCounters,
    pace: Arc<Pace>,
    wakes: bool,
}

/// What the turns of a type ask its table.
impl<A> TypeTable<A> {
    pub(crate) fn counters(&self) -> &TypeCounters {
        &self.counters
    }

    pub(crate) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Whether `#[on_activate]` runs.
    pub(crate) fn wakes(&self) -> bool {
        self.wakes
    }
}

impl<A: ActorMethods> TypeTable<A> {
    pub(crate) fn new(layout: &ShardLayout) -> Self {
        let methods: BTreeMap<_, _> = A::methods().into_iter().map(|method| (method.name, method)).collect();
        let places = methods.values().map(|method| method.index + 1).max().unwrap_or(0);
        Self {
            methods,
            home: layout.home(A::OPTIONS.home),
            counters: TypeCounters::new(places),
            pace: Arc::default(),
            wakes: A::hooks().wakes(),
        }
    }

    fn unknown_method(&self, name: &str) -> CallError<crate::codec::Payload> {
        let known: Vec<_> = self.methods.keys().copied().collect();
        CallError::NotFound(format!("{} has no method {name:?}; it has {}", A::TYPE, known.join(", ")))
    }
}

impl<A: ActorMethods> Dispatch for TypeTable<A> {
    fn options(&self) -> &'static ActorOptions {
        &A::OPTIONS
    }

    fn home(&self) -> ShardRange {
        self.home
    }

    fn counters(&self) -> &TypeCounters {
        &self.counters
    }

    fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    fn topics(&self) -> Vec<TypeSubscription> {
        let listening = self.methods.values().filter_map(|method| Some((method.topic?, method)));
        let subscription = |(pattern, method): (&str, &MethodEntry<A>)| {
            TypeSubscription::new(pattern, ActorType::of::<A>(), method.name, method.arguments)
                .expect("the macro has checked the pattern")
        };
        listening.map(subscription).collect()
    }

    fn says_farewell(&self) -> bool {
        A::hooks().says_farewell()
    }

    fn deactivate(
        &self,
        engine: Arc<Core>,
        activation: Arc<dyn AnyActivation>,
        why: Leaving,
        at_least: Duration,
    ) -> BoxFuture<'static, bool> {
        let activation = activation.into_typed::<A>().expect("the type's name is part of the identity");
        lifecycle::deactivate(engine, activation, why, at_least).boxed()
    }

    fn info(&self) -> TypeInfo {
        let method = |m: &MethodEntry<A>| {
            let (calls, failed) = self.counters.of_method(m.index);
            let durability = m.exclusive.then_some(m.durability);
            let (name, exclusive, arguments) = (m.name, m.exclusive, m.arguments);
            MethodInfo { name, exclusive, durability, arguments, calls, failed }
        };
        TypeInfo {
            name: A::TYPE,
            durability: A::OPTIONS.durability,
            methods: self.methods.values().map(method).collect(),
            activations: self.counters.activations(),
            calls: self.counters.calls(),
            failed: self.counters.failed(),
        }
    }

    fn deliver(
        &self,
        engine: Arc<Core>,
        shard: Arc<OwnedShard>,
        call: Call,
    ) -> BoxFuture<'static, CallResult> {
        match self.methods.get(&*call.method) {
            Some(method) => match call.delivery.clone() {
                None => (method.invoke)(engine, shard, call),
                Some(delivery) => (method.receive)(engine, shard, call, delivery),
            },
            None if call.method == PROBE => deadlock::receive(engine, call).boxed(),
            None if call.method == DEACTIVATE => lifecycle::deactivate_by_call(engine, call).boxed(),
            None if streams::answers(&call.method) => streams::answer(engine, call).boxed(),
            None if call.method == SESSION => {
                engine.deliver_to_session(call);
                std::future::ready(Ok(Payload::default())).boxed()
            }
            None => std::future::ready(Err(self.unknown_method(&call.method))).boxed(),
        }
    }

    fn call_with_errand(
        &self,
        engine: Arc<Core>,
        shard: Arc<OwnedShard>,
        call: Call,
        errand: SharedErrand,
    ) -> BoxFuture<'static, CallResult> {
        match self.methods.get(&*call.method) {
            Some(method) => (method.call_with_errand)(engine, shard, call, errand),
            None => std::future::ready(Err(self.unknown_method(&call.method))).boxed(),
        }
    }

    fn run_errand(
        &self,
        engine: Arc<Core>,
        shard: Arc<OwnedShard>,
        actor: ActorId,
        errand: SharedErrand,
    ) -> BoxFuture<'static, Result<(), String>> {
        errand::run::<A>(engine, shard, actor, errand).boxed()
    }

    fn tell(&self, engine: &Arc<Core>, shard: Arc<OwnedShard>, call: Call) {
        match self.methods.get(&*call.method) {
            Some(method) => (method.tell)(engine, shard, call),
            None if call.method == SESSION => engine.deliver_to_session(call),
            None => engine.undelivered(&call, &self.unknown_method(&call.method)),
        }
    }
}

/// What is counted about a type: the node's telemetry reads it when it is scraped.
pub(crate) struct TypeCounters {
    /// Activations that have come into memory, and those that have left it.
    came: Striped<AtomicU64>,
    left: Striped<AtomicU64>,
    /// By the places of the methods.
    methods: Box<[MethodCounters]>,
    failed: [AtomicU64; KINDS],
}

#[derive(Default)]
struct MethodCounters {
    calls: Striped<AtomicU64>,
    failed: AtomicU64,
}

const KINDS: usize = CallError::<()>::KINDS.len();

impl TypeCounters {
    pub(crate) fn activated(&self) {
        self.came.count();
    }

    pub(crate) fn deactivated(&self) {
        self.left.count();
    }

    fn new(methods: usize) -> Self {
        Self {
            came: Striped::default(),
            left: Striped::default(),
            methods: (0..methods).map(|_| MethodCounters::default()).collect(),
            failed: Default::default(),
        }
    }

    fn activations(&self) -> u64 {
        // What comes and leaves between the two sums must not make it less than none.
        let left = self.left.sum();
        self.came.sum().saturating_sub(left)
    }

    fn calls(&self) -> u64 {
        self.methods.iter().map(|method| method.calls.sum()).sum()
    }

    /// Calls and failed calls of a method.
    fn of_method(&self, index: usize) -> (u64, u64) {
        let method = &self.methods[index];
        (method.calls.sum(), method.failed.load(Ordering::Relaxed))
    }

    pub(crate) fn answered<T, E>(&self, index: usize, result: &Result<T, CallError<E>>) {
        let Some(method) = self.methods.get(index) else { return };
        method.calls.count();
        if let Err(error) = result {
            method.failed.fetch_add(1, Ordering::Relaxed);
            let kind = CallError::<()>::KINDS.iter().position(|(kind, _)| *kind == error.kind());
            if let Some(kind) = kind {
                self.failed[kind].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn failed(&self) -> Vec<(&'static str, u64)> {
        let kinds = CallError::<()>::KINDS.iter().map(|(kind, _)| *kind);
        kinds.zip(&self.failed).map(|(kind, count)| (kind, count.load(Ordering::Relaxed))).collect()
    }
}
