//! What all parts of a simulation share: the seed's generator, the virtual clock, the tasks, the trace, the checker.
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

use crate::checker::Checker;
use crate::executor::{Executor, Owner, TaskId};
use crate::report::Stats;
use crate::settings::{Mutation, Settings};
use crate::trace::Trace;

/// The calendar time at which every simulation begins, milliseconds since 1970.
const BEGINNING_UNIX_MS: u64 = 1_700_000_000_000;

/// What all parts share.
pub(crate) struct World {
    pub(crate) executor: Arc<Executor>,
    pub(crate) settings: Settings,
    pub(crate) checker: Checker,
    pub(crate) trace: Trace,
    pub(crate) stats: Mutex<Stats>,
    mutation: Option<Mutation>,
    random: Mutex<Rng>,
    start: Instant,
    healed: AtomicBool,
    over: AtomicBool,
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>) -> Arc<Self> {
        let mut random = Rng::with_seed(seed);
        let executor = Executor::new(random.fork());
        let settings = Settings::draw(&mut random);
        let start = Instant::now();
        Arc::new(Self {
            executor,
            settings,
            checker: Checker::default(),
            trace: Trace::new(start),
            stats: Mutex::default(),
            mutation,
            random: Mutex::new(random),
            start,
            healed: AtomicBool::new(false),
            over: AtomicBool::new(false),
        })
    }

    /// True if this mistake has been planted.
    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// Starts a task that no crash ends.
    pub(crate) fn spawn(&self, body: impl Future<Output = ()> + Send + 'static) -> TaskId {
        self.executor.spawn(Owner::World, Box::pin(body)).0
    }

    /// Draws from the seed.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.random.lock())
    }

    /// True with this probability.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        self.draw(|random| random.f64()) < probability
    }

    /// True with this probability as long as things are allowed to go wrong.
    pub(crate) fn fault(&self, probability: f64) -> bool {
        !self.is_healed() && self.chance(probability)
    }

    /// A time in this range of milliseconds.
    pub(crate) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.draw(|random| random.u64(range)))
    }

    /// Waits for a time in this range of milliseconds.
    pub(crate) async fn sleep(&self, range: Range<u64>) {
        tokio::time::sleep(self.millis(range)).await;
    }

    /// The time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.trace.add("everything heals");
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// Ends the simulation.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// True if there is nothing more to simulate.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.checker.has_violation()
    }
}

/// The world as one run of a node sees it.
pub(crate) struct NodeEnv {
    pub(crate) world: Arc<World>,
    pub(crate) owner: Owner,
    /// How far this node's calendar is off, in milliseconds.
    pub(crate) clock_offset_ms: i64,
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
