//! What every thread touches at once, kept apart by thread.
//!
//! Two cores that raise one counter pass its cache line back and forth, and that costs more than all the rest of a short
//! turn. So a counter is many counters, each on a cache line of its own; a thread works on the one that is its own, and
//! who wants the number adds them up. **Invariant**: but for the common stripe,
//! no two threads have the same stripe at the same time; so a thread may count in its own without locking the line.

use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering, STRIPES, shared_static};

/// The stripe of those threads for which there is none of their own.
const COMMON: usize = STRIPES - 1;

/// A stripe that one thread has for itself until it ends, or the common one.
struct Stripe(usize);

shared_static! {
    /// A bit for each stripe that a thread has for itself.
    static TAKEN: AtomicU32 = AtomicU32::new(0);
}

thread_local! {
    static OWN: Stripe = Stripe::take();
}

impl Stripe {
    fn take() -> Self {
        let first_free = |taken: u32| {
            let free = taken.trailing_ones() as usize;
            (free < COMMON).then(|| taken | 1 << free)
        };
        // Acquire: what the thread before has written is seen.
        let taken = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, first_free);
        Self(taken.map_or(COMMON, |taken| taken.trailing_ones() as usize))
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        if self.0 != COMMON {
            TAKEN.fetch_and(!(1 << self.0), Ordering::Release);
        }
    }
}

/// The stripe of this thread. The common one if this thread is at its end.
pub(crate) fn own_stripe() -> usize {
    OWN.try_with(|own| own.0).unwrap_or(COMMON)
}

/// Two lines: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// A value per stripe.
#[derive(Debug)]
pub(crate) struct Striped<T>(Box<[Line<T>]>);

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T> Striped<T> {
    pub(crate) fn new(mut make: impl FnMut() -> T) -> Self {
        Self((0..STRIPES).map(|_| Line(make())).collect())
    }

    /// The value of a stripe that [`own_stripe`] has named.
    pub(crate) fn at(&self, stripe: usize) -> &T {
        &self.0[stripe].0
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }
}

impl Striped<AtomicU64> {
    /// Adds one. Where no other thread counts this costs no more than for a number that nobody shares.
    pub(crate) fn count(&self) {
        let stripe = own_stripe();
        let count = self.at(stripe);
        match stripe {
            COMMON => drop(count.fetch_add(1, Ordering::Relaxed)),
            _ => count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed),
        }
    }

    /// The sum; of counts that go on meanwhile it has some.
    pub(crate) fn sum(&self) -> u64 {
        self.all().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// How many of something there are now, with an order to other flags: who raises it and then finds a flag down is seen
/// by everybody who puts the flag up and then looks here.
#[derive(Debug, Default)]
pub(crate) struct Presence(Striped<AtomicUsize>);

impl Presence {
    /// One more. The stripe is to be given back to [`leave`](Self::leave): a sum over stripes of which each is counted
    /// up and down by itself is never too small.
    pub(crate) fn enter(&self) -> usize {
        let stripe = own_stripe();
        self.0.at(stripe).fetch_add(1, Ordering::SeqCst);
        stripe
    }

    /// One less. Returns true if it was the last of its stripe.
    pub(crate) fn leave(&self, stripe: usize) -> bool {
        self.0.at(stripe).fetch_sub(1, Ordering::SeqCst) == 1
    }

    /// How many there are: 0 only if each of those that were there when the look began has left.
    pub(crate) fn count(&self) -> usize {
        self.0.all().map(|count| count.load(Ordering::SeqCst)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_add_up() {
        let count = Striped::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..100).for_each(|_| count.count()));
            }
        });
        assert_eq!(count.sum(), 200 * STRIPES as u64);
    }

    #[test]
    fn a_stripe_is_given_on_when_its_thread_ends() {
        let stripe = || std::thread::spawn(own_stripe).join().expect("it does not panic");
        let count = (0..4 * STRIPES).filter(|_| stripe() != COMMON).count();
        assert!(count > COMMON, "{count} threads, one after the other, had a stripe of their own");
    }

    #[test]
    fn who_leaves_on_another_thread_leaves_the_stripe_that_it_entered() {
        let presence = Presence::default();
        let entered: Vec<_> = (0..3).map(|_| presence.enter()).collect();
        let last = std::thread::scope(|scope| {
            let leave = || entered.iter().map(|&stripe| presence.leave(stripe)).collect::<Vec<_>>();
            scope.spawn(leave).join().expect("it does not panic")
        });
        assert_eq!(last, [false, false, true]);
        assert_eq!(presence.count(), 0);
    }
}
