//! Ticks of simulations: turns of many actors at a fixed rate.
//!
//! One task per rate drives all actors of the node that tick so. It divides the period into slots and the actors among
//! them, so that the work is spread evenly, and runs the turns of actors that are idle in place: no task, no channel and
//! no encoding per tick. An actor that is busy gets its tick as soon as it is free; if that is not before its next one,
//! the tick is **skipped and counted**: ticks never pile up. A node that cannot keep up skips whole slots the same way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::activation::{Activation, AnyActivation, Entry};
use super::post::Outgoing;
use super::timers::SelfCall;
use super::turn::{self, CallForm, Progress};
use super::{Core, inline};
use crate::actor::{Access, Method};
use crate::call::DEFAULT_DEADLINE;
use crate::filter::Way;
use crate::identity::ActorId;

/// A slot is not shorter than this: the runtime's clock has no finer steps.
const SLOT: Duration = Duration::from_millis(1);
/// The most slots of a period.
const SLOTS_MAX: u32 = 64;
/// How many turns the driver runs before it lets other tasks run.
const IN_A_ROW: usize = 64;

/// The ticks of a node.
#[derive(Default)]
pub(super) struct Ticks {
    rates: Mutex<HashMap<Duration, Arc<Rate>>>,
    by_actor: Mutex<HashMap<ActorId, Vec<Arc<TickState>>>>,
    done: AtomicU64,
    skipped: AtomicU64,
}

/// How often ticks of this node were done and skipped since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TickStats {
    /// Ticks whose turns have begun.
    pub done: u64,
    /// Ticks that their actors could not take in time.
    pub skipped: u64,
    /// Actors that tick; one that ticks at two rates counts twice.
    pub tickers: u64,
}

/// What a ticker and its handle share.
#[derive(Debug)]
pub(crate) struct TickState {
    /// An actor ticks at one rate with one method.
    method: &'static str,
    stopped: AtomicBool,
    skipped: AtomicU64,
    /// A tick waits for the actor, or its turn runs on a task of its own.
    busy: AtomicBool,
}

impl TickState {
    pub(crate) fn new(method: &'static str) -> Self {
        let (stopped, skipped, busy) = (AtomicBool::new(false), AtomicU64::new(0), AtomicBool::new(false));
        Self { method, stopped, skipped, busy }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

/// The actors of one rate.
struct Rate {
    period: Duration,
    slots: Vec<Mutex<Vec<Arc<dyn Ticking>>>>,
    next_slot: AtomicUsize,
}

/// An actor that ticks, whatever its type.
trait Ticking: Send + Sync {
    /// Does one tick; false if there will be no more.
    fn tick(self: Arc<Self>, engine: &Arc<Core>, period: Duration) -> bool;
    fn state(&self) -> &Arc<TickState>;
    fn actor(&self) -> &ActorId;
}

/// A ticker that has not begun yet: it begins when the turn that set it has ended well.
pub(crate) struct NewTicker<M: Method> {
    pub(crate) call: SelfCall<M>,
    pub(crate) state: Arc<TickState>,
    pub(crate) period: Duration,
}

impl<M: Method> Outgoing for NewTicker<M> {
    fn send(self: Box<Self>) {
        let Self { call, state, period } = *self;
        let Some(activation) = call.activation() else { return };
        let actor = activation.id().clone();
        let ticker = Arc::new(Ticker::<M> { call, state: state.clone(), actor: actor.clone() });
        let engine = activation.engine();
        let mut by_actor = engine.ticks.by_actor.lock();
        let states = by_actor.entry(actor).or_default();
        // `#[on_activate]` runs again after a turn that was rolled back.
        states.iter().filter(|earlier| earlier.method == state.method).for_each(|earlier| earlier.stop());
        states.push(state);
        drop(by_actor);
        engine.begin_ticking(ticker, period);
    }

    fn give_up(self: Box<Self>, _engine: &Core) {}
}

struct Ticker<M: Method> {
    call: SelfCall<M>,
    state: Arc<TickState>,
    actor: ActorId,
}

impl<M: Method> Ticking for Ticker<M> {
    fn tick(self: Arc<Self>, engine: &Arc<Core>, period: Duration) -> bool {
        let Some(activation) = self.call.activation() else { return false };
        if self.state.stopped.load(Ordering::Relaxed) || engine.turns.is_draining() {
            return false;
        }
        if self.state.busy.load(Ordering::Acquire) {
            engine.skip_tick(&self.state);
            return true;
        }
        if !self.run_here(engine, &activation) {
            self.state.busy.store(true, Ordering::Release);
            let (late, engine) = (engine.env.now() + period, engine.clone());
            engine.env.spawn(Box::pin(self.run_later(engine.clone(), activation, late)));
        }
        true
    }

    fn state(&self) -> &Arc<TickState> {
        &self.state
    }

    fn actor(&self) -> &ActorId {
        &self.actor
    }
}

impl<M: Method> Ticker<M> {
    /// Runs the turn in place if the actor is idle; false if it must wait.
    fn run_here(self: &Arc<Self>, engine: &Arc<Core>, activation: &Arc<Activation<M::Actor>>) -> bool {
        let pace = activation.table().pace();
        // Filters and traces are looked after where the tick has a task of its own.
        if engine.long_way
            || !inline::may_run_here(pace)
            || engine.check_supervision::<M::Actor, ()>(activation.id()).is_err()
        {
            return false;
        }
        let entry = Entry { exclusive: M::Access::EXCLUSIVE, reenter: false, mailbox: 0 };
        let Some(mut guard) = activation.clone().enter_now(entry) else { return false };
        if guard.loaded().is_none() {
            return false;
        }
        let Ok(arguments) = self.call.arguments() else { return false };
        engine.ticks.done.fetch_add(1, Ordering::Relaxed);
        let cx = turn::cx::<M>(&guard, || self.call.context(engine));
        let turn = turn::turn::<M>(guard, cx, Progress::default(), arguments, CallForm::default());
        let mut turn = inline::Turn::new(inline::sample(pace), turn);
        if let Poll::Ready(_outcome) = turn.poll_here(&mut Context::from_waker(Waker::noop())) {
            return true;
        }
        // The next tick waits for the end of this one.
        self.state.busy.store(true, Ordering::Release);
        let (this, env) = (self.clone(), engine.env.clone());
        let rest = turn.hand_over(&env, env.now() + DEFAULT_DEADLINE);
        env.spawn(Box::pin(async move {
            drop(rest.await);
            this.state.busy.store(false, Ordering::Release);
        }));
        true
    }

    /// Waits for the actor until its next tick is due.
    async fn run_later(
        self: Arc<Self>,
        engine: Arc<Core>,
        activation: Arc<Activation<M::Actor>>,
        late: Instant,
    ) {
        let mut context = self.call.context(&engine);
        // What went wrong, and what a filter refused, is counted with the type's calls.
        if let Ok(around) = engine.around::<M>(activation.id(), Way::Tick, &mut context) {
            match timeout_at(late, self.call.enter(&activation, &context)).await {
                Ok(Ok(Some(guard))) => {
                    engine.ticks.done.fetch_add(1, Ordering::Relaxed);
                    let outcome = around.within(self.call.run(guard, context)).await;
                    around.ended(&outcome);
                }
                Ok(Ok(None)) => {}
                Ok(Err(_)) | Err(_) => engine.skip_tick(&self.state),
            }
        }
        self.state.busy.store(false, Ordering::Release);
    }
}

impl Core {
    /// What the ticks of this node have done.
    pub fn tick_stats(&self) -> TickStats {
        let rates = self.ticks.rates.lock();
        let slots = rates.values().flat_map(|rate| &rate.slots);
        TickStats {
            done: self.ticks.done.load(Ordering::Relaxed),
            skipped: self.ticks.skipped.load(Ordering::Relaxed),
            tickers: slots.map(|slot| slot.lock().len() as u64).sum(),
        }
    }

    /// How many ticks of this actor were skipped since it came into memory.
    pub(crate) fn skipped_ticks(&self, actor: &ActorId) -> u64 {
        let by_actor = self.ticks.by_actor.lock();
        by_actor.get(actor).map_or(0, |states| states.iter().map(|state| state.skipped()).sum())
    }

    fn skip_tick(&self, state: &TickState) {
        state.skipped.fetch_add(1, Ordering::Relaxed);
        self.ticks.skipped.fetch_add(1, Ordering::Relaxed);
    }

    fn begin_ticking(self: &Arc<Self>, ticker: Arc<dyn Ticking>, period: Duration) {
        let mut rates = self.ticks.rates.lock();
        let rate = rates.entry(period).or_insert_with(|| {
            let rate = Arc::new(Rate::new(period));
            self.env.spawn(Box::pin(drive(Arc::downgrade(self), rate.clone())));
            rate
        });
        // Under the lock: the driver takes it to end when nobody ticks.
        rate.add(ticker);
    }

    fn forget_ticker(&self, ticker: &dyn Ticking) {
        let mut by_actor = self.ticks.by_actor.lock();
        if let Some(states) = by_actor.get_mut(ticker.actor()) {
            states.retain(|state| !Arc::ptr_eq(state, ticker.state()));
            if states.is_empty() {
                by_actor.remove(ticker.actor());
            }
        }
    }

    /// Does one slot's ticks, or skips them because they come too late.
    async fn tick_slot(self: &Arc<Self>, rate: &Rate, slot: usize, skip: bool) {
        let tickers = rate.slots[slot].lock().clone();
        let mut over = Vec::new();
        for (at, ticker) in tickers.into_iter().enumerate() {
            if skip {
                self.skip_tick(ticker.state());
            } else if !ticker.clone().tick(self, rate.period) {
                over.push(ticker);
            }
            if at % IN_A_ROW == IN_A_ROW - 1 {
                tokio::task::yield_now().await;
            }
        }
        if !over.is_empty() {
            rate.slots[slot].lock().retain(|ticker| !over.iter().any(|gone| Arc::ptr_eq(gone, ticker)));
            over.iter().for_each(|ticker| self.forget_ticker(&**ticker));
        }
    }
}

impl Rate {
    fn new(period: Duration) -> Self {
        let slots = (period.as_nanos() / SLOT.as_nanos()).clamp(1, u128::from(SLOTS_MAX));
        let slots = (0..slots).map(|_| Mutex::default()).collect();
        Self { period, slots, next_slot: AtomicUsize::new(0) }
    }

    /// One slot after the other, so that they stay even.
    fn add(&self, ticker: Arc<dyn Ticking>) {
        let slot = self.next_slot.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        self.slots[slot].lock().push(ticker);
    }

    fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| slot.lock().is_empty())
    }

    /// When the slot with this number comes, counted from the beginning over all periods.
    fn due(&self, begun: Instant, number: u64) -> Instant {
        let slots = self.slots.len() as u64;
        let part = self.period.mul_f64((number % slots) as f64 / slots as f64);
        begun + self.period.saturating_mul(u32::try_from(number / slots).unwrap_or(u32::MAX)) + part
    }
}

/// Goes through the slots of a rate, again and again, until nobody ticks any more.
async fn drive(engine: Weak<Core>, rate: Arc<Rate>) {
    let (mut begun, mut number) = (Instant::now(), 0u64);
    loop {
        number += 1;
        let slot = (number % rate.slots.len() as u64) as usize;
        if slot == 0 {
            let Some(engine) = engine.upgrade() else { return };
            let mut rates = engine.ticks.rates.lock();
            if rate.is_empty() {
                rates.remove(&rate.period);
                return;
            }
            // Counted anew, so that nothing overflows and no rounding adds up.
            begun += rate.period;
            number = 0;
        }
        if rate.slots[slot].lock().is_empty() {
            continue;
        }
        let due = rate.due(begun, number);
        sleep_until(due).await;
        let Some(engine) = engine.upgrade() else { return };
        let late = Instant::now().saturating_duration_since(due) > rate.period;
        engine.tick_slot(&rate, slot, late).await;
        tokio::task::yield_now().await;
    }
}
