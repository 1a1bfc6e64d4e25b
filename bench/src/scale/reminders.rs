//! 100,000 reminders of as many actors, all due in the same second, and what calls of other actors feel of it: each call
//! is timed before the reminders are due and while they tick.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use greenroom::{Actor, Cx, Runtime, Schedule, actor_methods};
use serde::{Deserialize, Serialize};

use crate::report::{Report, Unit};
use crate::scratch;

const REMINDERS: u64 = 100_000;
/// Who sets the reminders.
const CALLERS: u64 = 256;
/// For so long calls are timed before the reminders are due.
const QUIET: Duration = Duration::from_secs(5);
/// Setting all of them must take less.
const SETTING: Duration = Duration::from_secs(60);
/// One call of each kind is made so often.
const EVERY: Duration = Duration::from_millis(2);

const PROGRAM: &str = "100,000 reminders due in one second";

/// How many ticks there have been in this process.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// Sleeps until its time.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Sleeper {
    ticks: u64,
}

#[actor_methods]
impl Sleeper {
    async fn wake_at(&mut self, cx: &Cx, unix_ms: u64) -> greenroom::Result<()> {
        cx.remind("wake", Schedule::once_at(unix_ms), cx.actor::<Self>(cx.key()).wake())?;
        Ok(())
    }

    async fn wake(&mut self) {
        self.ticks += 1;
        TICKS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Is called meanwhile.
#[derive(Actor, Default, Serialize, Deserialize)]
struct Busy {
    calls: u64,
}

#[actor_methods]
impl Busy {
    async fn change(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    async fn look(&self) -> u64 {
        self.calls
    }
}

/// The times that calls took.
#[derive(Default)]
struct Felt {
    reading: Vec<Duration>,
    durable: Vec<Duration>,
}

pub(super) async fn round(report: &mut Report) -> Result<()> {
    let directory = scratch()?;
    let data = directory.path().join("data");
    let runtime = Runtime::local().actor::<Sleeper>().actor::<Busy>().data_dir(data).start().await?;
    let begun = Instant::now();
    let due = SystemTime::now() + SETTING + QUIET;
    set(&runtime, due).await?;
    report.add(PROGRAM, "while they are set", "each", Unit::Nanoseconds, each(begun.elapsed()));
    let left = due.duration_since(SystemTime::now()).context("setting the reminders took too long")?;
    let quiet = left.checked_sub(QUIET).context("setting the reminders took too long")?;
    // Reminders follow the calendar: there is no event before the first of them but the time itself.
    tokio::time::sleep(quiet).await;

    let before = TICKS.load(Ordering::Relaxed);
    let calm = feel(&runtime, || SystemTime::now() >= due).await?;
    ensure!(TICKS.load(Ordering::Relaxed) == before, "reminders ticked too early");
    let begun = Instant::now();
    let storm = feel(&runtime, || TICKS.load(Ordering::Relaxed) >= before + REMINDERS).await?;
    report.add(PROGRAM, "while they tick", "each", Unit::Nanoseconds, each(begun.elapsed()));
    for (rig, felt) in [("before they are due", calm), ("while they tick", storm)] {
        for (metric_50, metric_99, times) in
            [("reading call p50", "p99", felt.reading), ("durable call p50", "its p99", felt.durable)]
        {
            let times = sorted(times);
            report.add(PROGRAM, rig, metric_50, Unit::Nanoseconds, quantile(&times, 0.5));
            report.add(PROGRAM, rig, metric_99, Unit::Nanoseconds, quantile(&times, 0.99));
        }
    }
    runtime.shutdown().await;
    Ok(())
}

async fn set(runtime: &Runtime, due: SystemTime) -> Result<()> {
    let due = u64::try_from(due.duration_since(UNIX_EPOCH)?.as_millis())?;
    let callers = (0..CALLERS).map(|caller| async move {
        for number in (caller..REMINDERS).step_by(CALLERS as usize) {
            // Within one second, as the program says.
            runtime.actor::<Sleeper>(format!("s-{number}")).wake_at(due + number % 1000).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(callers).await?;
    Ok(())
}

/// Calls until it is over, and times the calls.
async fn feel(runtime: &Runtime, over: impl Fn() -> bool) -> Result<Felt> {
    let mut felt = Felt::default();
    let mut every = tokio::time::interval(EVERY);
    let busy = runtime.actor::<Busy>("busy");
    while !over() {
        every.tick().await;
        let begun = Instant::now();
        busy.change().await?;
        felt.durable.push(begun.elapsed());
        let begun = Instant::now();
        busy.look().await?;
        felt.reading.push(begun.elapsed());
    }
    ensure!(!felt.durable.is_empty(), "no call was timed");
    Ok(felt)
}

fn each(took: Duration) -> f64 {
    took.as_nanos() as f64 / REMINDERS as f64
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

fn quantile(sorted: &[Duration], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize].as_nanos() as f64
}
