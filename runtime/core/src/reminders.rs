//! Reminders, as turns set them: calls that an actor gets at times that are kept with its state.

use smol_str::SmolStr;

use crate::actor::{Access, Durability, Method};
use crate::cx::Cx;
use crate::engine::reminders::{Stored, name_key, split_name_key};
use crate::error::CallError;
use crate::reference::{Call, MOVED_AWAY};
use crate::rows::{RowChange, RowRange, Space, actor_prefix};
use crate::schedule::Schedule;

/// The longest name of a reminder, in bytes.
pub const MAX_REMINDER_NAME_BYTES: usize = 128;
/// The largest arguments of a reminder's call, encoded.
pub const MAX_REMINDER_ARGUMENTS_BYTES: usize = 64 << 10;
/// How many rows are read at once.
const PAGE: usize = 256;

/// A reminder of an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    /// Its name, unique in its actor.
    pub name: String,
    /// When it ticks.
    pub schedule: Schedule,
    /// Its next due time, milliseconds since 1970.
    pub next_due_unix_ms: u64,
    /// The method that it calls.
    pub method: SmolStr,
}

impl Cx {
    /// Sets a reminder: this actor gets this call at the times of the schedule, until the reminder is forgotten or its
    /// schedule is at its end. A reminder with the same name is replaced.
    ///
    /// The reminder is part of this turn's commit, and is not set if the turn fails. Each tick is a call of its own: it
    /// is applied exactly once, whatever crashes or moves, and never early. A tick that fails is tried five times within
    /// half a minute; then it becomes a dead letter, and the reminder goes on to its next due time.
    ///
    /// ```text
    /// let me = cx.actor::<Counter>(cx.key());
    /// cx.remind("tidy", Schedule::cron("0 4 * * *", "Europe/Berlin"), me.tidy())?;
    /// ```
    ///
    /// # Errors
    /// `Invalid` if the turn cannot keep it (a `&self` method, a volatile type), if the call is not an exclusive one of
    /// this very actor, if the schedule is none, or if the name or the arguments are too long.
    pub fn remind<M: Method>(&self, name: &str, schedule: Schedule, call: Call<M>) -> Result<(), CallError> {
        self.check_reminder(name)?;
        if !M::Access::EXCLUSIVE {
            return Err(CallError::Invalid(format!(
                "a reminder calls a method that changes its actor, and {} takes &self; make it &mut self",
                M::NAME
            )));
        }
        if matches!(M::DURABILITY, Durability::Volatile) {
            return Err(CallError::Invalid(format!(
                "a tick is applied once because it is kept, and {} is volatile; remind yourself of a method that is not",
                M::NAME
            )));
        }
        let call = call.into_encoded().map_err(|error| {
            error.map_app(|_| CallError::Invalid("its arguments cannot be encoded".into()))
        })?;
        if call.target != *self.actor_id() {
            return Err(CallError::Invalid(format!(
                "a reminder of {} cannot call {}; remind yourself, and call the other from there",
                self.actor_id(),
                call.target
            )));
        }
        if call.arguments.data.len() > MAX_REMINDER_ARGUMENTS_BYTES {
            return Err(CallError::Invalid(format!(
                "the arguments of reminder {name:?} take {} bytes, at most {MAX_REMINDER_ARGUMENTS_BYTES} are allowed; \
                 keep what is large in the actor's state",
                call.arguments.data.len()
            )));
        }
        let now = self.engine().env().unix_ms();
        let (schedule, due) = schedule.begin(now).map_err(|error| CallError::Invalid(error.to_string()))?;
        let (set_by, method, arguments) = (self.call_id(), call.method, call.arguments);
        let request = call.context.request;
        let stored = Stored { schedule, due, set_by, method, arguments, request };
        self.change_row(stored.put(&name_key(self.actor_id(), name)));
        Ok(())
    }

    /// Forgets a reminder with this turn's commit. That there is none with this name is no error.
    ///
    /// # Errors
    /// `Invalid` if the turn cannot keep it, or if the name is none.
    pub fn forget_reminder(&self, name: &str) -> Result<(), CallError> {
        self.check_reminder(name)?;
        self.change_row(RowChange::remove(Space::REMINDER, name_key(self.actor_id(), name)));
        Ok(())
    }

    /// The reminders of this actor by name, with what this turn has changed of them. Waits until what earlier turns have
    /// changed is durable.
    ///
    /// # Errors
    /// `Unavailable` if the shard has moved away or its store cannot be read.
    pub async fn reminders(&self) -> Result<Vec<Reminder>, CallError> {
        let shard = self.shard();
        let moved = || CallError::Unavailable(MOVED_AWAY.into());
        shard.gate().wait(shard.last().ok_or_else(moved)?).await.map_err(|_| moved())?;
        let mut rows = std::collections::BTreeMap::new();
        let mut range = RowRange::prefix(Space::REMINDER, actor_prefix(self.actor_id()));
        loop {
            let page = shard.journal().rows(shard.shard(), range.clone(), PAGE).await;
            let page = page.map_err(|error| CallError::Unavailable(error.to_string()))?;
            let last = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| key.clone());
            rows.extend(page);
            let Some(last) = last else { break };
            range = range.after(&last);
        }
        for change in self.changed_rows(Space::REMINDER) {
            match change.value {
                Some(value) => rows.insert(change.key, value),
                None => rows.remove(&change.key),
            };
        }
        let reminder = |(key, value): (bytes::Bytes, bytes::Bytes)| {
            let (_, name) = split_name_key(&key)?;
            let Stored { schedule, due, method, .. } = Stored::decode(&value)?;
            Some(Reminder { name: name.into(), schedule, next_due_unix_ms: due, method })
        };
        Ok(rows.into_iter().filter_map(reminder).collect())
    }

    fn check_reminder(&self, name: &str) -> Result<(), CallError> {
        if !self.commits() {
            return Err(CallError::Invalid(format!(
                "this turn of {} cannot change reminders: they are kept with its commit; change them in a `&mut self` \
                 method of a durable type, or use a timer",
                self.actor_id()
            )));
        }
        if name.is_empty() || name.len() > MAX_REMINDER_NAME_BYTES {
            return Err(CallError::Invalid(format!(
                "the name of a reminder has {} bytes; use 1 to {MAX_REMINDER_NAME_BYTES}",
                name.len()
            )));
        }
        Ok(())
    }
}
