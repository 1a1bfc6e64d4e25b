//! When a reminder is due, and what becomes of the times at which nobody could serve it. Pure.
//!
//! A reminder has one **due time**, its next one. When it has come, [`Schedule::step`] says which tick to do now, if any,
//! and what the next due time is. Both are functions of the schedule, the due time and now, so it does not matter who
//! asks, or how often. Rules, each a property test below:
//! - due times of a schedule only grow, and the next one is always later than the one before;
//! - [`Missed::All`] ticks once for each due time, whenever it is asked;
//! - [`Missed::Once`] ticks once, whatever was missed, and is then due after now;
//! - [`Missed::Skip`] never ticks for a time that is older than [`ON_TIME_MS`].
//!
//! Times are milliseconds since 1970. A cron expression is read in a time zone, so a tick at four in the morning is that
//! on every day of the year. When clocks go forward, a fixed time that this day does not have ticks as the gap ends; when
//! they go back, a fixed time that happens twice ticks the first time. Expressions with `*` or `/` in their hours or
//! minutes go by intervals: they tick in both passes of the repeated hour. Zones come with the program, so all nodes that
//! run it agree.

use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The shortest period of a reminder: each tick is a commit. Timers can be faster.
pub const MIN_PERIOD: Duration = Duration::from_millis(100);
/// A tick that is not later than this is on time, for [`Missed::Skip`].
pub const ON_TIME_MS: u64 = 60_000;
/// The end of calendar time: the last millisecond of the year 9998, so that every time zone can show it.
pub const LATEST_MS: u64 = 253_370_764_799_999;

/// When a reminder is due.
///
/// ```
/// use std::time::Duration;
/// use greenroom_core::schedule::{Missed, Schedule};
///
/// let nightly = Schedule::cron("0 4 * * *", "Europe/Berlin").missed(Missed::Skip);
/// let soon_and_then_hourly = Schedule::every(Duration::from_secs(3600)).first_after(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    when: When,
    #[serde(default)]
    missed: Missed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum When {
    At { unix_ms: u64 },
    After { ms: u64 },
    Every { period_ms: u64, first_ms: Option<u64> },
    Cron { expression: String, zone: String },
}

/// What becomes of ticks that could not be done when they were due, because no node served the actor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missed {
    /// One tick, as soon as it can be done, stands for all that were missed.
    #[default]
    Once,
    /// Each is made up for, one after the other.
    All,
    /// None is made up for. A tick counts as missed when it is more than a minute late.
    Skip,
}

/// What to do when a reminder is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The due time of the tick to do now.
    pub tick: Option<u64>,
    /// When the reminder is due again; `None`: never, it has done its work.
    pub next: Option<u64>,
}

/// Why a schedule is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// The period is too short.
    #[error("a reminder every {0:?} is too often: at least {MIN_PERIOD:?}; use a timer for shorter periods")]
    Period(Duration),
    /// The cron expression cannot be read.
    #[error(
        "cron expression {expression:?}: {message}; write minute hour day-of-month month day-of-week, for example \"0 4 * * *\""
    )]
    Expression {
        /// What was given.
        expression: String,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such time zone.
    #[error(
        "there is no time zone {0:?}; use a name of the IANA database, for example Europe/Berlin, or UTC"
    )]
    Zone(String),
    /// No time fits.
    #[error("the schedule {0:?} is never due; give it a time that comes")]
    Never(String),
}

impl Schedule {
    /// Due once, at this time (milliseconds since 1970). A time that has passed is due at once.
    pub fn once_at(unix_ms: u64) -> Self {
        When::At { unix_ms: unix_ms.min(LATEST_MS) }.into()
    }

    /// Due once, after this time.
    pub fn after(delay: Duration) -> Self {
        When::After { ms: millis(delay) }.into()
    }

    /// Due again and again; the first time after one period, or after [`first_after`](Self::first_after).
    pub fn every(period: Duration) -> Self {
        When::Every { period_ms: millis(period), first_ms: None }.into()
    }

    /// Due at the times of a cron expression in a time zone of the IANA database. Five fields (minute, hour, day of the
    /// month, month, day of the week), with a field for seconds before them or a field for years behind them if wanted.
    pub fn cron(expression: impl Into<String>, zone: impl Into<String>) -> Self {
        When::Cron { expression: expression.into(), zone: zone.into() }.into()
    }

    /// The first time of [`every`](Self::every) comes after this delay. Other schedules stay as they are.
    pub fn first_after(mut self, delay: Duration) -> Self {
        if let When::Every { first_ms, .. } = &mut self.when {
            *first_ms = Some(millis(delay));
        }
        self
    }

    /// What becomes of missed ticks.
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Checks the schedule and says when it is due first, counted from now. The schedule that is returned is the one to
    /// keep: what was relative to now is absolute in it.
    pub fn begin(&self, now: u64) -> Result<(Self, u64), ScheduleError> {
        let (when, first) = match &self.when {
            When::At { unix_ms } => (self.when.clone(), *unix_ms),
            When::After { ms } => {
                let unix_ms = add(now, *ms);
                (When::At { unix_ms }, unix_ms)
            }
            When::Every { period_ms, first_ms } => {
                if u128::from(*period_ms) < MIN_PERIOD.as_millis() {
                    return Err(ScheduleError::Period(Duration::from_millis(*period_ms)));
                }
                let first = add(now, first_ms.unwrap_or(*period_ms));
                (When::Every { period_ms: *period_ms, first_ms: None }, first)
            }
            When::Cron { expression, zone } => {
                let first = cron_after(expression, zone, now)?;
                (self.when.clone(), first.ok_or_else(|| ScheduleError::Never(self.to_string()))?)
            }
        };
        Ok((Self { when, missed: self.missed }, first))
    }

    /// What to do at `now` with a reminder that has been due since `due`.
    pub fn step(&self, due: u64, now: u64) -> Result<Step, ScheduleError> {
        let now = now.max(due);
        Ok(match self.missed {
            Missed::All => Step { tick: Some(due), next: self.next_after(due, due)? },
            Missed::Once => Step { tick: Some(due), next: self.next_after(due, now)? },
            Missed::Skip => Step { tick: self.latest(due, now)?, next: self.next_after(due, now)? },
        })
    }

    /// The first due time behind `after`, of a reminder that was due at `due`.
    fn next_after(&self, due: u64, after: u64) -> Result<Option<u64>, ScheduleError> {
        Ok(match &self.when {
            When::At { .. } | When::After { .. } => None,
            When::Every { period_ms, .. } => {
                let periods = after.saturating_sub(due) / period_ms.max(&1) + 1;
                Some(add(due, period_ms.saturating_mul(periods))).filter(|next| *next > after)
            }
            When::Cron { expression, zone } => cron_after(expression, zone, after)?,
        })
    }

    /// The last due time up to now, if it is still on time.
    fn latest(&self, due: u64, now: u64) -> Result<Option<u64>, ScheduleError> {
        let oldest = now.saturating_sub(ON_TIME_MS);
        let mut latest = Some(due).filter(|due| *due >= oldest);
        let mut after = due.max(oldest.saturating_sub(1));
        if let When::Every { period_ms, .. } = &self.when {
            // No walk through the periods: the last one is known.
            after = after.max(now.saturating_sub(*period_ms));
        }
        while let Some(next) = self.next_after(due, after)?.filter(|next| *next <= now) {
            (latest, after) = (Some(next), next);
        }
        Ok(latest)
    }
}

impl From<When> for Schedule {
    fn from(when: When) -> Self {
        Self { when, missed: Missed::default() }
    }
}

/// As listings show it: `once`, `every 5s`, `cron 0 4 * * * Europe/Berlin`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            When::At { .. } => f.write_str("once"),
            When::After { ms } => write!(f, "after {:?}", Duration::from_millis(*ms)),
            When::Every { period_ms, .. } => write!(f, "every {:?}", Duration::from_millis(*period_ms)),
            When::Cron { expression, zone } => write!(f, "cron {expression} {zone}"),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(LATEST_MS)
}

fn add(time: u64, ms: u64) -> u64 {
    time.saturating_add(ms).min(LATEST_MS)
}

/// The first time behind `after` that the expression names; `None` if there is none.
fn cron_after(expression: &str, zone: &str, after: u64) -> Result<Option<u64>, ScheduleError> {
    let bad = |error: CronError| {
        let message = error.to_string();
        ScheduleError::Expression {
            expression: expression.into(),
            message: message.trim_end_matches('.').into(),
        }
    };
    let cron: Cron = expression.parse().map_err(bad)?;
    let after = zoned(after, time_zone(zone)?);
    match cron.find_next_occurrence(&after, false) {
        Ok(next) => Ok(u64::try_from(next.timestamp().as_millisecond()).ok()),
        Err(CronError::TimeSearchLimitExceeded) => Ok(None),
        Err(error) => Err(bad(error)),
    }
}

fn time_zone(name: &str) -> Result<TimeZone, ScheduleError> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    // Not the machine's own database: two hosts may have different ones.
    TimeZoneDatabase::bundled().get(name).map_err(|_| ScheduleError::Zone(name.into()))
}

fn zoned(unix_ms: u64, zone: TimeZone) -> Zoned {
    let ms = i64::try_from(unix_ms.min(LATEST_MS)).expect("the latest time fits");
    Timestamp::from_millisecond(ms).expect("the latest time is within the range").to_zoned(zone)
}

#[cfg(test)]
mod tests;
