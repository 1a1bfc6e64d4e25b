//! What a workflow's function waits for: times, signals, and whichever of two comes first.
//!
//! A time is recorded when it is first asked for, so a run that begins again waits for the same one. The n-th wait for a
//! signal gets the n-th signal of that name, so nothing needs to be recorded about it.

use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::check_name;
use super::course::Halt;
use super::flow::Flow;
use super::ledger::Checkpoint;

/// The calendar may be set anew meanwhile: it is looked at so often at least.
const CALENDAR_CHECK: Duration = Duration::from_secs(60);

/// The time was over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it did not come in time")]
pub struct Elapsed;

/// A signal that is not what the function waits for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the signal {name:?} cannot be read: {message}")]
pub struct SignalError {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub message: String,
}

impl Flow {
    /// Waits for so long, counted from when it is first asked for: a restart does not begin it anew.
    pub async fn sleep(&self, name: impl AsRef<str>, duration: Duration) {
        let (name, course) = (name.as_ref(), self.course());
        let due = match course.ask(name).await {
            Some(Checkpoint::Until(due)) => due,
            Some(other) => course.other_kind(name, "wait", &other).await,
            None => self.set_time(name, duration).await,
        };
        self.wait_until(due).await;
    }

    /// Waits for a signal of this name: the first wait gets the first signal, the second the second, and so on. Signals
    /// that came before are kept.
    ///
    /// # Errors
    /// If the signal is not a `T`.
    pub async fn wait_for<T: DeserializeOwned>(&self, name: impl AsRef<str>) -> Result<T, SignalError> {
        let (name, course) = (name.as_ref(), self.course());
        if let Err(error) = check_name(name) {
            return course.halt(Halt::Broken(error)).await;
        }
        let number = course.next_wait(name);
        let mut changes = course.changes.clone();
        let value = loop {
            changes.borrow_and_update();
            if let Some(value) = course.received(name, number).await {
                break value;
            }
            let _parked = course.park(None);
            tokio::select! {
                biased;
                // An error: the run has been overtaken, and is about to be dropped.
                changed = changes.changed() => if changed.is_err() { std::future::pending().await },
                () = course.cancelled() => {}
            }
        };
        serde_json::from_value(value)
            .map_err(|error| SignalError { name: name.into(), message: error.to_string() })
    }

    /// Does this for so long at most. What was first is recorded, so it stays so when the function is run again.
    ///
    /// Meant for waits. A step that is cut off may have had its effect or not; undo it in any case.
    pub async fn timeout<T>(
        &self,
        name: impl AsRef<str>,
        limit: Duration,
        what: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let (name, course) = (name.as_ref(), self.course());
        let due = match course.ask(name).await {
            Some(Checkpoint::Decided { in_time: true }) => return Ok(what.await),
            Some(Checkpoint::Decided { in_time: false }) => return Err(Elapsed),
            Some(Checkpoint::Until(due)) => due,
            Some(other) => course.other_kind(name, "timeout", &other).await,
            None => self.set_time(name, limit).await,
        };
        let over = async {
            self.wait_until(due).await;
            // A run that begins again when the time is over already must first see what came in time.
            course.answered().await;
        };
        let outcome = tokio::select! {
            biased;
            value = what => Ok(value),
            () = over => Err(Elapsed),
        };
        let _step = course.step();
        course.record(name, Checkpoint::Decided { in_time: outcome.is_ok() }, None).await;
        outcome
    }

    async fn set_time(&self, name: &str, duration: Duration) -> u64 {
        let course = self.course();
        course.may_begin().await;
        let _step = course.step();
        let duration = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let due = course.engine.env().unix_ms().saturating_add(duration);
        course.record(name, Checkpoint::Until(due), None).await;
        due
    }

    async fn wait_until(&self, due: u64) {
        let course = self.course();
        let _parked = course.park(Some(due));
        loop {
            let left = Duration::from_millis(due.saturating_sub(course.engine.env().unix_ms()));
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(left.min(CALENDAR_CHECK)) => {}
                () = course.cancelled() => {}
            }
        }
    }
}
