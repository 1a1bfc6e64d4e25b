//! Timers and ticks, as turns set them: calls of an actor by itself that live as long as it is in memory.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;

use crate::actor::{Actor, Method};
use crate::cx::Cx;
use crate::engine::{Cancel, NewTicker, NewTimer, SelfCall, Ticker, Ticking};
use crate::error::CallError;
use crate::reference::Call;

/// The shortest period of a timer.
const MIN_PERIOD: Duration = Duration::from_millis(1);
/// The lowest and the highest rate of ticks, per second.
const RATES: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// A timer of an actor in memory. Dropping the handle changes nothing.
#[derive(Debug, Clone)]
pub struct Timer(Arc<Cancel>);

impl Timer {
    /// Ends the timer: no turn of it begins any more. One that runs goes on, so a timer's turn may end its timer.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

/// The ticks of an actor in memory. Dropping the handle changes nothing.
#[derive(Clone)]
pub struct Ticks(Arc<dyn Ticking>);

impl Ticks {
    /// Ends the ticks. One that is due already may still come.
    pub fn stop(&self) {
        self.0.state().stop();
    }

    /// How many ticks the actor could not take in time.
    pub fn skipped(&self) -> u64 {
        self.0.state().skipped()
    }
}

impl Debug for Ticks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticks").field("skipped", &self.skipped()).finish_non_exhaustive()
    }
}

impl Cx {
    /// Makes this call of this very actor after a while, as a turn of its own. Other callers are served meanwhile.
    ///
    /// A timer lives in memory only: it ends when the actor leaves memory, and does not keep it there. It begins when
    /// this turn has ended well; the time counts from now. What must survive is a [reminder](Self::remind).
    ///
    /// # Errors
    /// `Invalid` if the call is not one of this actor, or its type is stateless.
    pub fn timer<M: Method>(&self, after: Duration, call: Call<M>) -> Result<Timer, CallError> {
        self.start_timer(after, None, call)
    }

    /// The same again and again at a fixed rate, the first time after one period. A time at which the actor was still
    /// busy with the one before is left out. A turn that fails does not end the timer. A timer with the same method and
    /// arguments that was set before is replaced, whatever its period.
    ///
    /// # Errors
    /// As [`timer`](Self::timer); and if the period is less than a millisecond.
    pub fn timer_every<M: Method>(&self, period: Duration, call: Call<M>) -> Result<Timer, CallError> {
        if period < MIN_PERIOD {
            return Err(CallError::Invalid(format!(
                "a timer every {period:?} is too often: at least {MIN_PERIOD:?}"
            )));
        }
        self.start_timer(period, Some(period), call)
    }

    /// Makes this call of this very actor so many times a second, from when this turn has ended well until the actor
    /// leaves memory or the ticks are stopped. Made for thousands of actors that simulate something: a tick costs little
    /// more than its turn. It counts as use, so an actor that ticks does not become idle. Ticks with the same method that
    /// were set before are replaced.
    ///
    /// Ticks never pile up: one that the actor cannot take before the next is due is skipped and counted.
    ///
    /// # Errors
    /// As [`timer`](Self::timer); and if the rate is not between 0.01 and 1000.
    pub fn ticks<M: Method>(&self, hz: f64, call: Call<M>) -> Result<Ticks, CallError> {
        if !RATES.contains(&hz) {
            return Err(CallError::Invalid(format!(
                "{hz} ticks a second: use {} to {}",
                RATES.start(),
                RATES.end()
            )));
        }
        let (call, period) = (self.self_call(call)?, Duration::from_secs_f64(hz.recip()));
        let ticker = Arc::new(Ticker::new(call, self.actor_id().clone()));
        self.send_at_end(Box::new(NewTicker { ticker: ticker.clone(), period }));
        Ok(Ticks(ticker))
    }

    /// How many ticks this actor could not take in time, since it came into memory.
    pub fn skipped_ticks(&self) -> u64 {
        self.engine().skipped_ticks(self.actor_id())
    }

    fn start_timer<M: Method>(
        &self,
        after: Duration,
        period: Option<Duration>,
        call: Call<M>,
    ) -> Result<Timer, CallError> {
        let (call, cancel) = (self.self_call(call)?, Arc::<Cancel>::default());
        let at = self.engine().env().now() + after;
        self.send_at_end(Box::new(NewTimer { call, cancel: cancel.clone(), at, period }));
        Ok(Timer(cancel))
    }

    fn self_call<M: Method>(&self, call: Call<M>) -> Result<SelfCall<M>, CallError> {
        if M::Actor::OPTIONS.stateless {
            return Err(CallError::Invalid(format!(
                "{} is stateless: whoever set a timer is not who it would call; give the type state",
                M::Actor::TYPE
            )));
        }
        let call = call.into_encoded().map_err(|error| {
            error.map_app(|_| CallError::Invalid("its arguments cannot be encoded".into()))
        })?;
        let own = Some(call.arguments).filter(|_| call.target == *self.actor_id());
        let request = call.context.request;
        own.and_then(|arguments| SelfCall::new(self.activation(), arguments, request)).ok_or_else(|| {
            CallError::Invalid(format!(
                "a timer of {} cannot call {}; call yourself, and the other from there",
                self.actor_id(),
                call.target
            ))
        })
    }
}
