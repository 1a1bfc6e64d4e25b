//! What all simulated parts share: the seed's generator, the virtual clock, the tasks, the conditions, the trace.
//!
//! There is one generator for everything. Since tasks run in an order that it decides, every draw has its place in the
//! one history of the seed.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use greenroom_core::env::Env;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::conditions::Conditions;
use crate::executor::{Executor, Owner, TaskId};
use crate::mutation::Mutation;
use crate::observer::{Event, Observer};
use crate::trace::Trace;

/// The calendar time at which every simulation begins, milliseconds since 1970.
const BEGINNING_UNIX_MS: u64 = 1_700_000_000_000;

/// What all parts share.
pub struct World {
    /// The tasks.
    pub executor: Arc<Executor>,
    /// What happened.
    pub trace: Trace,
    observer: Arc<dyn Observer>,
    mutation: Option<Mutation>,
    conditions: Mutex<Conditions>,
    random: Mutex<Rng>,
    start: Instant,
    healed: AtomicBool,
}

impl World {
    /// A world in which everything works. To be made inside a current-thread runtime of tokio whose clock is paused.
    pub fn new(seed: u64, observer: Arc<dyn Observer>, mutation: Option<Mutation>) -> Arc<Self> {
        let mut random = Rng::with_seed(seed);
        let executor = Executor::new(random.fork());
        let start = Instant::now();
        Arc::new(Self {
            executor,
            trace: Trace::new(start),
            observer,
            mutation,
            conditions: Mutex::new(Conditions::GOOD),
            random: Mutex::new(random),
            start,
            healed: AtomicBool::new(false),
        })
    }

    /// How well everything works now.
    pub fn conditions(&self) -> Conditions {
        *self.conditions.lock()
    }

    /// Changes how well everything works.
    pub fn set_conditions(&self, change: impl FnOnce(&mut Conditions)) {
        change(&mut self.conditions.lock());
    }

    /// Tells the observer.
    pub fn tell(&self, event: Event<'_>) {
        self.observer.happened(event);
    }

    /// True if this mistake has been planted.
    pub fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Starts a task that no crash ends.
    pub fn spawn(&self, body: impl Future<Output = ()> + Send + 'static) -> TaskId {
        self.executor.spawn(Owner::World, Box::pin(body)).0
    }

    /// Draws from the seed.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.random.lock())
    }

    /// True with this probability.
    pub fn chance(&self, probability: f64) -> bool {
        self.draw(|random| random.f64()) < probability
    }

    /// True with this probability as long as things are allowed to go wrong.
    pub fn fault(&self, probability: f64) -> bool {
        !self.is_healed() && self.chance(probability)
    }

    /// A time in this range of milliseconds.
    pub fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.draw(|random| random.u64(range)))
    }

    /// Waits for a time in this range of milliseconds.
    pub async fn sleep(&self, range: Range<u64>) {
        tokio::time::sleep(self.millis(range)).await;
    }

    /// The time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// From now on nothing goes wrong by itself any more, whatever the conditions say.
    pub fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.trace.add("everything heals");
    }

    /// True once everything has healed.
    pub fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }
}

/// The world as one run of a node sees it, or a client.
pub struct NodeEnv {
    /// The world.
    pub world: Arc<World>,
    /// To whom its tasks belong.
    pub owner: Owner,
    /// How far this node's calendar is off, in milliseconds.
    pub clock_offset_ms: i64,
}

impl Env for NodeEnv {
    fn unix_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.world.elapsed().as_millis()).unwrap_or(u64::MAX);
        (BEGINNING_UNIX_MS + elapsed).saturating_add_signed(self.clock_offset_ms)
    }

    fn random(&self) -> u128 {
        self.world.draw(|random| random.u128(..))
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) -> AbortHandle {
        self.world.executor.spawn(self.owner, task).1
    }
}
