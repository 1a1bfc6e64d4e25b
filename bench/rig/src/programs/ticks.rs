//! Many actors that do something many times a second: how much of a core that takes, and how late they are.
//!
//! The jitter of a tick is by how much the time since the actor's last one differs from the period.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::Stage;
use crate::Rig;
use crate::protocol::Sample;
use crate::stopwatch::Stopwatch;

/// How often an actor ticks.
pub const TICKS_PER_SECOND: u32 = 30;

/// How long ticks are measured.
pub(crate) const MEASURED: Duration = Duration::from_secs(5);
/// How long the actors tick before.
const SETTLED: Duration = Duration::from_secs(1);

/// How many ticks had a jitter of so many [`STEP_NS`]; the last one counts all that had more.
static JITTER: [AtomicU64; 1_000] = [const { AtomicU64::new(0) }; 1_000];
const STEP_NS: u64 = 100_000;

/// What an actor does at its tick: it notes how late it is.
pub fn ticked(last: &mut Option<Instant>) {
    let now = Instant::now();
    if let Some(last) = last.replace(now) {
        let jitter = (now - last).abs_diff(Duration::from_secs(1) / TICKS_PER_SECOND);
        let step = jitter.as_nanos() / u128::from(STEP_NS);
        let step = usize::try_from(step).unwrap_or(usize::MAX).min(JITTER.len() - 1);
        JITTER[step].fetch_add(1, Ordering::Relaxed);
    }
}

impl<R: Rig> Stage<R> {
    /// An operation is a tick.
    pub(super) async fn ticks(&mut self, actors: u64, measured: Duration) -> Result<Sample> {
        self.rig.ticks(actors).await?;
        sleep(SETTLED.min(measured)).await;
        for step in &JITTER {
            step.store(0, Ordering::Relaxed);
        }
        let stopwatch = Stopwatch::start();
        sleep(measured).await;
        let ticks: Vec<u64> = JITTER.iter().map(|step| step.load(Ordering::Relaxed)).collect();
        let count = ticks.iter().sum();
        let sample = stopwatch.stop(count);
        let expected = actors * u64::from(TICKS_PER_SECOND) * sample.wall_ns / 1_000_000_000;
        ensure!(count > expected / 2, "{count} ticks instead of {expected}");
        Ok(Sample { jitter_p99_ns: Some(p99(&ticks)), ..sample })
    }
}

/// The upper end of the step that all but a hundredth of the ticks do not pass.
fn p99(ticks: &[u64]) -> u64 {
    let count: u64 = ticks.iter().sum();
    let mut below = 0;
    let steps = ticks.iter().take_while(|ticks| {
        below += **ticks;
        below * 100 < count * 99
    });
    (steps.count() as u64 + 1) * STEP_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tick_in_a_hundred_is_further_from_its_time_than_the_p99() {
        assert_eq!(p99(&[98, 1, 1]), 2 * STEP_NS);
        assert_eq!(p99(&[100, 0, 0]), STEP_NS);
        assert_eq!(p99(&[0, 50, 50]), 3 * STEP_NS);
    }
}
