//! How uneven ticks are: a histogram that is cheap to fill and can be added to others.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The last bucket takes everything from half a second up.
const BUCKETS: usize = 20;

/// How far the times between two ticks were from the period: bucket `i` counts those below `2^i` microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Jitter([u64; BUCKETS]);

impl Jitter {
    /// One more tick.
    pub fn note(&mut self, off: Duration) {
        let bucket = u128::BITS - off.as_micros().leading_zeros();
        self.0[(bucket as usize).min(BUCKETS - 1)] += 1;
    }

    /// Takes in what others have noted.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, others)| *mine += others);
    }

    /// What has been noted since then.
    pub fn since(&self, then: &Self) -> Self {
        Self(std::array::from_fn(|bucket| self.0[bucket].saturating_sub(then.0[bucket])))
    }

    /// What this part of all ticks, between 0 and 1, stayed below; zero if there were none.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.0.iter().sum::<u64>() as f64 * part).ceil() as u64;
        let mut counted = 0;
        let bucket = self.0.iter().position(|count| {
            counted += count;
            counted >= wanted && wanted > 0
        });
        bucket.map_or(Duration::ZERO, |bucket| Duration::from_micros(1 << bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let mut jitter = Jitter::default();
        assert_eq!(jitter.quantile(0.5), Duration::ZERO);
        for ms in [1, 1, 1, 1, 1, 1, 1, 1, 1, 30] {
            jitter.note(Duration::from_millis(ms));
        }
        let before = jitter;
        assert_eq!(jitter.quantile(0.9), Duration::from_micros(1024));
        assert_eq!(jitter.quantile(1.0), Duration::from_micros(1 << 15));
        jitter.note(Duration::from_hours(1));
        jitter.note(Duration::ZERO);
        let late = jitter.since(&before);
        assert_eq!(
            (late.quantile(0.5), late.quantile(1.0)),
            (Duration::from_micros(1), Duration::from_micros(1 << 19))
        );
    }
}
