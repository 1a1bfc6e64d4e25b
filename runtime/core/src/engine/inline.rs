//! A turn runs on its caller's task while it can, and moves to a task of its own when it must.
//!
//! An idle actor's turn is polled once in place: no channel, no wake-up, no second task, which is several times cheaper
//! (the whole call then costs less than one hop through a queue). If it suspends, it is handed to a task, so that it
//! goes on whatever its caller does meanwhile. Running in place has two dangers, and each has its bound:
//! - *depth*: a chain of inline calls deepens one poll; past [`MAX_DEPTH`] the next turn gets its own task at once;
//! - *time*: turns that are made together run one after the other; a type whose turns have been long (a moving average
//!   of one measured turn in [`SAMPLE`] above [`LONG`]) is not run in place.
//!
//! **Order**: also a turn that is not run in place takes its place in the mailbox there, in its caller's poll, and moves
//! behind that ([`place_taken`]). Tasks that are started in one order come to the mailbox in any.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::env::SharedEnv;

/// How many inline turns may be nested in one poll.
const MAX_DEPTH: u32 = 16;
/// A turn that runs longer than this without suspending is long.
const LONG: Duration = Duration::from_micros(20);
/// As long as turns take less, nobody asks how much less.
const FAR_FROM_LONG: Duration = Duration::from_micros(5);
/// One turn in so many is measured, at distances that vary: calls that come in turn would otherwise always be the same.
pub(super) const SAMPLE: u32 = 16;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// How many turns this thread has begun since a moment before the last sample.
    static BEGUN: Cell<u32> = const { Cell::new(0) };
    /// The turn that is being polled is to take its place and no more.
    static ONLY_PLACE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the turn that now begins is one of those that are measured.
pub(crate) fn sample() -> bool {
    let begun = BEGUN.get() + 1;
    // From 0 to SAMPLE - 1 the next sample is SAMPLE turns away, half of SAMPLE less or more.
    let sampled = begun >= SAMPLE + SAMPLE / 2;
    BEGUN.set(if sampled { fastrand::u32(..=SAMPLE) } else { begun });
    sampled
}

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// The deadline passed; the turn has been dropped.
    Deadline,
    /// The node is stopping; the turn has been dropped.
    Stopping,
}

/// How long the turns of a method run before they suspend or end: a moving average over the measured ones.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    average_ns: AtomicU32,
}

impl Pace {
    fn is_long(&self) -> bool {
        u128::from(self.average_ns.load(Ordering::Relaxed)) > LONG.as_nanos()
    }

    /// An eighth of the new value and seven of the old one: a single slow turn does not decide.
    ///
    /// Each call reads the average, on every core. As long as it does not matter it stays as it is, and in their caches.
    fn measured(&self, took: Duration) {
        let old = Duration::from_nanos(self.average_ns.load(Ordering::Relaxed).into());
        if old.max(took) >= FAR_FROM_LONG {
            let average = u32::try_from((old - old / 8 + took / 8).as_nanos()).unwrap_or(u32::MAX);
            self.average_ns.store(average, Ordering::Relaxed);
        }
    }
}

/// A turn as it is run: in a box, since it may have to move to a task of its own after its first poll.
pub(crate) struct Turn<T> {
    turn: Pin<Box<dyn Future<Output = T> + Send>>,
    measure: Option<Arc<Pace>>,
}

impl<T: Send + 'static> Turn<T> {
    /// A turn that is measured if [`sample`] said so.
    pub(crate) fn new(measure: Option<Arc<Pace>>, turn: impl Future<Output = T> + Send + 'static) -> Self {
        Self { turn: Box::pin(turn), measure }
    }

    /// The turn's first poll, in place. Only if [`may_run_here`] allows it.
    pub(crate) fn poll_here(&mut self, task: &mut Context<'_>) -> Poll<T> {
        let _nested = Nested::enter();
        Pin::new(self).poll(task)
    }

    /// The turn's first poll, in its caller's: as far as it comes if it may run `here`, else to its place in the mailbox.
    /// If it has not ended then, it must be polled by a task.
    pub(super) fn begin(&mut self, here: bool, task: &mut Context<'_>) -> Poll<T> {
        if here {
            return self.poll_here(task);
        }
        let (_nested, _only_place) = (Nested::enter(), OnlyPlace::begin());
        self.turn.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Runs the turn to its end or to its deadline on a task of its own. Dropping the returned future drops the turn at
    /// its next suspension.
    pub(crate) fn hand_over(
        self,
        env: &SharedEnv,
        deadline: Instant,
    ) -> impl Future<Output = Result<T, Interrupted>> + Send + use<T> {
        hand_over(env.clone(), deadline, self)
    }
}

/// Whether a turn with this pace may run on its caller's task.
pub(crate) fn may_run_here(pace: &Pace) -> bool {
    DEPTH.get() < MAX_DEPTH && !pace.is_long()
}

/// Runs a turn to its end or to its deadline, in place while it can. Dropping the returned future drops the turn at its
/// next suspension.
pub(crate) async fn run<T: Send + 'static>(
    env: &SharedEnv,
    pace: &Arc<Pace>,
    deadline: Instant,
    turn: impl Future<Output = T> + Send + 'static,
) -> Result<T, Interrupted> {
    let mut turn = Turn::new(sample().then(|| pace.clone()), turn);
    if may_run_here(pace) {
        let first = poll_fn(|task| Poll::Ready(turn.poll_here(task)));
        if let Poll::Ready(result) = first.await {
            return Ok(result);
        }
    }
    turn.hand_over(env, deadline).await
}

/// The same for a turn that takes its place in the mailbox in its caller's poll in any case. It is measured if [`sample`]
/// has said so.
pub(crate) async fn run_in_order<T: Send + 'static>(
    env: &SharedEnv,
    pace: &Arc<Pace>,
    measure: Option<Arc<Pace>>,
    deadline: Instant,
    turn: impl Future<Output = T> + Send + 'static,
) -> Result<T, Interrupted> {
    let (mut turn, here) = (Turn::new(measure, turn), may_run_here(pace));
    let first = poll_fn(|task| Poll::Ready(turn.begin(here, task)));
    match first.await {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => turn.hand_over(env, deadline).await,
    }
}

/// Suspends a turn that has its place in the mailbox, if it is to come no further in the poll that it is in. Nothing wakes
/// it: a task polls it again in any case.
pub(super) fn place_taken() -> impl Future<Output = ()> {
    poll_fn(|_| if ONLY_PLACE.take() { Poll::Pending } else { Poll::Ready(()) })
}

impl<T> Future for Turn<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<T> {
        let Some(pace) = self.measure.take() else { return self.turn.as_mut().poll(task) };
        let begun = Instant::now();
        let poll = self.turn.as_mut().poll(task);
        pace.measured(begun.elapsed());
        poll
    }
}

async fn hand_over<T: Send + 'static>(
    env: SharedEnv,
    deadline: Instant,
    turn: Turn<T>,
) -> Result<T, Interrupted> {
    let (report, outcome) = oneshot::channel();
    let task = env.spawn(Box::pin(async move {
        let outcome = tokio::time::timeout_at(deadline, turn).await;
        // The caller may have stopped waiting.
        let _ = report.send(outcome);
    }));
    let _cancel = AbortOnDrop(task);
    match outcome.await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_elapsed)) => Err(Interrupted::Deadline),
        Err(_) => Err(Interrupted::Stopping),
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The time of a turn, from now until it is dropped.
pub(super) struct Measured<'a> {
    pace: &'a Pace,
    begun: Instant,
}

impl<'a> Measured<'a> {
    pub(super) fn begin(pace: &'a Pace) -> Self {
        Self { pace, begun: Instant::now() }
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        self.pace.measured(self.begun.elapsed());
    }
}

/// Turns that are polled take their places only, until this is dropped.
struct OnlyPlace;

impl OnlyPlace {
    fn begin() -> Self {
        ONLY_PLACE.set(true);
        Self
    }
}

impl Drop for OnlyPlace {
    fn drop(&mut self) {
        ONLY_PLACE.set(false);
    }
}

/// Counts the inline turns that are nested in the current poll.
pub(super) struct Nested;

impl Nested {
    pub(super) fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_long_turns_in_a_row_are_long_and_some_short_ones_are_short_again() {
        let pace = Pace::default();
        pace.measured(2 * LONG);
        assert!(!pace.is_long(), "a single slow turn does not decide");
        (0..8).for_each(|_| pace.measured(4 * LONG));
        assert!(pace.is_long());
        (0..32).for_each(|_| pace.measured(FAR_FROM_LONG / 5));
        assert!(!pace.is_long());
        pace.measured(2 * LONG);
        assert!(!pace.is_long(), "long turns of long ago do not count");
    }
}
