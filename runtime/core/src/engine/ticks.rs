//! Ticks of simulations: turns of many actors at a fixed rate.
//!
//! One task per rate drives all actors of the node that tick so. It divides the period into slots and the actors among
//! them, so that the work is spread evenly, and runs the turns of actors that are idle in place: no task, no channel and
//! no encoding per tick, and if the method cannot wait not even a future. An actor that is busy gets its tick as soon as
//! it is free; if that is not before its next one, the tick is **skipped and counted**: ticks never pile up. A node that
//! cannot keep up skips whole slots the same way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::activation::{Activation, AnyActivation, Entry};
use super::begin::Begun;
use super::directory::Found;
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
    by_actor: Mutex<HashMap<ActorId, Vec<Arc<dyn Ticking>>>>,
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

/// What ticks and whoever made it tick share.
#[derive(Default)]
pub(crate) struct TickState {
    stopped: AtomicBool,
    /// A tick waits for the actor, or its turn runs on a task of its own.
    busy: AtomicBool,
    skipped: AtomicU64,
}

impl TickState {
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
    /// Emptied by the driver for as long as it does a slot's ticks.
    slots: Vec<Mutex<Vec<Arc<dyn Ticking>>>>,
    next_slot: AtomicUsize,
}

/// An actor that ticks with one method, whatever its type.
pub(crate) trait Ticking: Send + Sync {
    fn state(&self) -> &TickState;
    fn actor(&self) -> &ActorId;
    fn method(&self) -> &'static str;
    /// Does one tick if the actor is idle.
    fn tick(&self, engine: &Arc<Core>) -> Ticked;
    /// Does one tick as soon as the actor is idle, but not later than this.
    fn tick_later(self: Arc<Self>, engine: Arc<Core>, late: Instant) -> BoxFuture<'static, ()>;
}

/// What became of a tick.
pub(crate) enum Ticked {
    Done,
    /// Its turn goes on here.
    Unfinished(BoxFuture<'static, ()>),
    /// The actor must be waited for.
    NotNow,
    /// There will be no more.
    Over,
}

/// Makes ticks, when the turn that set them has ended well.
pub(crate) struct NewTicker<M: Method> {
    pub(crate) ticker: Arc<Ticker<M>>,
    pub(crate) period: Duration,
}

impl<M: Method> Outgoing for NewTicker<M> {
    fn send(self: Box<Self>) {
        let Self { ticker, period } = *self;
        if let Some(activation) = ticker.call.activation() {
            activation.engine().begin_ticking(ticker, period);
        }
    }

    fn give_up(self: Box<Self>, _engine: &Core) {}
}

/// What every tick looks at comes first: an actor that has not ticked for a period is in no cache.
#[repr(C)]
pub(crate) struct Ticker<M: Method> {
    state: TickState,
    call: SelfCall<M>,
    actor: ActorId,
}

impl<M: Method> Ticker<M> {
    pub(crate) fn new(call: SelfCall<M>, actor: ActorId) -> Self {
        Self { state: TickState::default(), call, actor }
    }

    /// Runs the whole turn of a method that cannot wait.
    fn run_now(&self, engine: &Arc<Core>, activation: &Arc<dyn AnyActivation>) -> Ticked {
        let (Some(found), Ok(arguments)) = (Found::new(activation), self.call.arguments()) else {
            return Ticked::NotNow;
        };
        match engine.run_now::<M>(&found, None, &|| self.call.context(engine), arguments) {
            Begun::Done(_) => Ticked::Done,
            Begun::Suspended(answer) => Ticked::Unfinished(answer.map(drop).boxed()),
            Begun::Waiting(..) | Begun::NotNow(_) => Ticked::NotNow,
        }
    }

    /// Runs the turn in place as far as it goes.
    fn run_here(&self, engine: &Arc<Core>, activation: Arc<Activation<M::Actor>>) -> Ticked {
        let pace = activation.table().pace().clone();
        // Filters and traces are looked after where the tick has a task of its own.
        if engine.long_way
            || !inline::may_run_here(&pace)
            || engine.check_supervision::<M::Actor, ()>(activation.id()).is_err()
        {
            return Ticked::NotNow;
        }
        let entry = Entry { exclusive: M::Access::EXCLUSIVE, reenter: false, mailbox: 0 };
        let Some(mut guard) = activation.enter_now(entry) else { return Ticked::NotNow };
        if guard.loaded().is_none() {
            return Ticked::NotNow;
        }
        let Ok(arguments) = self.call.arguments() else { return Ticked::NotNow };
        let cx = turn::cx::<M>(&guard, || self.call.context(engine));
        let turn = turn::turn::<M>(guard, cx, Progress::default(), arguments, CallForm::default());
        let mut turn = inline::Turn::new(inline::sample().then_some(pace), turn);
        if turn.poll_here(&mut Context::from_waker(Waker::noop())).is_ready() {
            return Ticked::Done;
        }
        let rest = turn.hand_over(&engine.env, engine.env.now() + DEFAULT_DEADLINE);
        let engine = engine.clone();
        Ticked::Unfinished(Box::pin(async move {
            if let Err(why) = rest.await {
                drop(engine.answered::<M, ()>(Err(Progress::default().interrupted(why))));
            }
        }))
    }
}

impl<M: Method> Ticking for Ticker<M> {
    fn state(&self) -> &TickState {
        &self.state
    }

    fn actor(&self) -> &ActorId {
        &self.actor
    }

    fn method(&self) -> &'static str {
        M::NAME
    }

    fn tick(&self, engine: &Arc<Core>) -> Ticked {
        if engine.turns.is_draining() {
            return Ticked::Over;
        }
        let Some(activation) = self.call.in_memory() else { return Ticked::Over };
        let ticked = match M::IMMEDIATE && engine.short_way::<M>(None) {
            true => self.run_now(engine, &(activation.clone() as Arc<dyn AnyActivation>)),
            false => self.run_here(engine, activation.clone()),
        };
        match ticked {
            Ticked::NotNow if activation.is_gone() => Ticked::Over,
            ticked => ticked,
        }
    }

    fn tick_later(self: Arc<Self>, engine: Arc<Core>, late: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Some(activation) = self.call.activation() else { return };
            let mut context = self.call.context(&engine);
            // What went wrong, and what a filter refused, is counted with the type's calls.
            let Ok(around) = engine.around::<M>(activation.id(), Way::Tick, &mut context) else { return };
            match timeout_at(late, self.call.enter(&activation, &context)).await {
                Ok(Ok(Some(guard))) => {
                    engine.ticks.done.fetch_add(1, Ordering::Relaxed);
                    let outcome = around.within(self.call.run(guard, context)).await;
                    around.ended(&outcome);
                }
                Ok(Ok(None)) => {}
                Ok(Err(_)) | Err(_) => engine.skip_tick(&self.state),
            }
        })
    }
}

impl Core {
    /// What the ticks of this node have done.
    pub fn tick_stats(&self) -> TickStats {
        TickStats {
            done: self.ticks.done.load(Ordering::Relaxed),
            skipped: self.ticks.skipped.load(Ordering::Relaxed),
            tickers: self.ticks.by_actor.lock().values().map(|tickers| tickers.len() as u64).sum(),
        }
    }

    /// How many ticks of this actor were skipped since it came into memory.
    pub(crate) fn skipped_ticks(&self, actor: &ActorId) -> u64 {
        let by_actor = self.ticks.by_actor.lock();
        by_actor.get(actor).map_or(0, |tickers| tickers.iter().map(|ticker| ticker.state().skipped()).sum())
    }

    fn skip_tick(&self, state: &TickState) {
        state.skipped.fetch_add(1, Ordering::Relaxed);
        self.ticks.skipped.fetch_add(1, Ordering::Relaxed);
    }

    fn begin_ticking(self: &Arc<Self>, ticker: Arc<dyn Ticking>, period: Duration) {
        let mut by_actor = self.ticks.by_actor.lock();
        let tickers = by_actor.entry(ticker.actor().clone()).or_default();
        // `#[on_activate]` runs again after a turn that was rolled back.
        let same = |earlier: &&Arc<dyn Ticking>| earlier.method() == ticker.method();
        tickers.iter().filter(same).for_each(|earlier| earlier.state().stop());
        tickers.push(ticker.clone());
        drop(by_actor);
        let mut rates = self.ticks.rates.lock();
        let rate = rates.entry(period).or_insert_with(|| {
            let rate = Arc::new(Rate::new(period));
            self.env.spawn(Box::pin(drive(Arc::downgrade(self), rate.clone())));
            rate
        });
        // Under the lock: the driver takes it to end when nobody ticks.
        rate.add(ticker);
    }

    fn forget_ticker(&self, ticker: &Arc<dyn Ticking>) {
        let mut by_actor = self.ticks.by_actor.lock();
        if let Some(tickers) = by_actor.get_mut(ticker.actor()) {
            tickers.retain(|other| !Arc::ptr_eq(other, ticker));
            if tickers.is_empty() {
                by_actor.remove(ticker.actor());
            }
        }
    }

    /// Does one slot's ticks, or skips them because they come too late.
    async fn tick_slot(self: &Arc<Self>, rate: &Rate, slot: usize, skip: bool) {
        let slot = &rate.slots[slot];
        let mut tickers = std::mem::take(&mut *slot.lock());
        for at in (0..tickers.len()).rev() {
            if skip {
                self.skip_tick(tickers[at].state());
            } else if !self.tick_once(&tickers[at], rate.period) {
                self.forget_ticker(&tickers.swap_remove(at));
            }
            if at % IN_A_ROW == 0 {
                tokio::task::yield_now().await;
            }
        }
        let mut slot = slot.lock();
        tickers.append(&mut slot);
        *slot = tickers;
    }

    /// Does one tick, or skips it. False if there will be no more.
    fn tick_once(self: &Arc<Self>, ticker: &Arc<dyn Ticking>, period: Duration) -> bool {
        let state = ticker.state();
        if state.stopped.load(Ordering::Relaxed) {
            return false;
        }
        if state.busy.load(Ordering::Acquire) {
            self.skip_tick(state);
            return true;
        }
        let rest = match ticker.tick(self) {
            Ticked::Over => return false,
            Ticked::NotNow => ticker.clone().tick_later(self.clone(), self.env.now() + period),
            done => {
                self.ticks.done.fetch_add(1, Ordering::Relaxed);
                let Ticked::Unfinished(rest) = done else { return true };
                rest
            }
        };
        // The next tick waits for the end of this one.
        state.busy.store(true, Ordering::Release);
        let ticker = ticker.clone();
        self.env.spawn(Box::pin(async move {
            rest.await;
            ticker.state().busy.store(false, Ordering::Release);
        }));
        true
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
