//! Which actors answer the most calls, from samples, in a fixed amount of memory.
//!
//! The algorithm is Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in
//! Data Streams", 2005): [`PLACES`] counters; an actor without one takes over the least counter with its count.
//! **Property**: no count is below the truth, and none above it by more than samples / [`PLACES`]; so an actor with more
//! than that share of the samples is always among them. Counts are kept for a window and the one before it, so that they
//! tell of the last ten seconds or so. Samples are taken at random distances: calls that come in turn do not fool them.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Core;
use super::inline::SAMPLE;
use crate::identity::ActorId;

/// How many counters there are.
const PLACES: usize = 128;
/// How long samples are counted together.
const WINDOW: Duration = Duration::from_secs(5);
/// One of so many sampled turns is counted, so that the counters cost each turn next to nothing.
const ONE_OF: u32 = 8;

/// An actor and how busy it is.
#[derive(Debug, Clone, PartialEq)]
pub struct HotActor {
    /// The actor.
    pub actor: ActorId,
    /// How many calls it answers, estimated over about the last ten seconds.
    pub calls_per_second: f64,
}

/// The counters of one window.
#[derive(Debug, Default)]
struct Sketch(HashMap<ActorId, u64>);

impl Sketch {
    fn count(&mut self, actor: &ActorId) {
        if let Some(count) = self.0.get_mut(actor) {
            *count += 1;
            return;
        }
        let mut count = 0;
        if self.0.len() == PLACES
            && let Some((least, least_count)) =
                self.0.iter().min_by_key(|(_, count)| **count).map(|(actor, count)| (actor.clone(), *count))
        {
            self.0.remove(&least);
            count = least_count;
        }
        self.0.insert(actor.clone(), count + 1);
    }
}

/// The counts of this node.
#[derive(Default)]
pub(super) struct HotActors(Mutex<Option<Windows>>);

struct Windows {
    begun: Instant,
    now: Sketch,
    before: Sketch,
}

impl Windows {
    /// The windows as they are at this moment.
    fn at(windows: &mut Option<Self>, now: Instant) -> &mut Self {
        let new = || Self { begun: now, now: Sketch::default(), before: Sketch::default() };
        let windows = windows.get_or_insert_with(new);
        let age = now.saturating_duration_since(windows.begun);
        if age >= WINDOW {
            let ended = std::mem::take(&mut windows.now);
            windows.before = if age < 2 * WINDOW { ended } else { Sketch::default() };
            windows.begun = now;
        }
        windows
    }
}

impl Core {
    /// A turn of this actor is one of those that are sampled.
    pub(super) fn sampled(&self, actor: &ActorId) {
        if fastrand::u32(..ONE_OF) != 0 {
            return;
        }
        // Who finds somebody else counting does without: nobody waits for a statistic.
        if let Some(mut windows) = self.hot.0.try_lock() {
            Windows::at(&mut windows, self.env.now()).now.count(actor);
        }
    }

    /// The actors that answer the most calls, the busiest first.
    pub fn hot_actors(&self, limit: usize) -> Vec<HotActor> {
        let mut windows = self.hot.0.lock();
        let now = self.env.now();
        let windows = Windows::at(&mut windows, now);
        let mut counts = windows.before.0.clone();
        for (actor, count) in &windows.now.0 {
            *counts.entry(actor.clone()).or_default() += count;
        }
        let before = if windows.before.0.is_empty() { Duration::ZERO } else { WINDOW };
        let seconds = (now.saturating_duration_since(windows.begun) + before).as_secs_f64().max(1.0);
        let each = f64::from(SAMPLE * ONE_OF);
        let rate = |(actor, count)| HotActor { actor, calls_per_second: count as f64 * each / seconds };
        let mut hot: Vec<_> = counts.into_iter().map(rate).collect();
        hot.sort_by(|a, b| b.calls_per_second.total_cmp(&a.calls_per_second).then(a.actor.cmp(&b.actor)));
        hot.truncate(limit);
        hot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn actor(i: u64) -> ActorId {
        format!("A/{i}").parse().unwrap()
    }

    proptest! {
        /// The two bounds of Space-Saving, for streams of a few busy and many idle actors.
        #[test]
        fn counts_are_never_too_low_and_never_much_too_high(
            stream in proptest::collection::vec(prop_oneof![0u64..4, 0u64..2000], 0..5000),
        ) {
            let (mut sketch, mut truth) = (Sketch::default(), HashMap::<ActorId, u64>::new());
            for i in &stream {
                sketch.count(&actor(*i));
                *truth.entry(actor(*i)).or_default() += 1;
            }
            prop_assert!(sketch.0.len() <= PLACES);
            let slack = stream.len() as u64 / PLACES as u64;
            for (actor, count) in &sketch.0 {
                prop_assert!(*count >= truth[actor] && *count <= truth[actor] + slack);
            }
            for (actor, count) in truth.iter().filter(|(_, count)| **count > slack) {
                prop_assert!(sketch.0.contains_key(actor), "{} calls of {}", count, actor);
            }
        }
    }
}
