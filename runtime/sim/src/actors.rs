//! The actors of the simulation: ledgers of unique values, whose replies show what their turns saw.
//!
//! A reply with a length, or with the whole list, is evidence: it must not leave before the record of that length is
//! durable (I3). So is a call made in the middle of a turn; [`Crossing`] carries what its turn had seen past the call's
//! arguments, because a repeated call must have the same arguments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::{AppError, Cx, Result};
use greenroom_macros::{Actor, actor_methods};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::checker::Checker;

thread_local! {
    /// The checker of the simulation that this thread runs. Turns have no other way to it.
    static CHECKER: std::cell::RefCell<Option<Arc<Checker>>> = const { std::cell::RefCell::new(None) };
}

/// What a planned panic says, so that nobody takes it for a mistake.
pub(crate) const PLANNED_PANIC: &str = "this panic is part of the simulation";

/// Makes `checker` the one that turns of this thread see, until the guard is dropped.
pub(crate) fn enter(checker: &Arc<Checker>) -> Entered {
    CHECKER.set(Some(checker.clone()));
    Entered
}

pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        CHECKER.set(None);
    }
}

fn with_checker(act: impl FnOnce(&Checker)) {
    CHECKER.with_borrow(|checker| checker.as_deref().map(act));
}

/// What turns had seen of their own state when they called another actor, by the value they sent.
#[derive(Default)]
pub(crate) struct Crossing(Mutex<BTreeMap<u64, (String, usize)>>);

impl Crossing {
    /// The turn that sends `value` has seen `length` values of `key`. A repeated turn may have seen more; the least
    /// counts, because a late call of the earlier turn may still arrive.
    fn leaves(&self, value: u64, key: &str, length: usize) {
        let mut seen = self.0.lock();
        let entry = seen.entry(value).or_insert_with(|| (key.to_owned(), length));
        entry.1 = entry.1.min(length);
    }

    fn arrives(&self, value: u64) -> Option<(String, usize)> {
        self.0.lock().get(&value).cloned()
    }
}

/// A list of values that only grows.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", idle_timeout = "700ms", mailbox = 12, pinned("vault"))]
pub(crate) struct Ledger {
    pub(crate) values: Vec<u64>,
}

#[actor_methods(crate = "greenroom_core")]
impl Ledger {
    /// Appends and returns the new length.
    pub(crate) async fn append(&mut self, value: u64) -> u64 {
        self.values.push(value);
        self.values.len() as u64
    }

    /// Appends, and takes its time in the middle.
    pub(crate) async fn append_slowly(&mut self, value: u64, pause_ms: u64) -> u64 {
        self.values.push(value);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        self.values.len() as u64
    }

    /// The values.
    pub(crate) async fn read(&self) -> Vec<u64> {
        self.values.clone()
    }

    /// Appends, and then fails with the length it saw before.
    pub(crate) async fn refuse(&mut self, value: u64) -> Result<u64> {
        let seen = self.values.len();
        self.values.push(value);
        Err(AppError::new(seen.to_string()))
    }

    /// Appends, and then panics.
    pub(crate) async fn explode(&mut self, value: u64) -> u64 {
        self.values.push(value);
        panic!("{PLANNED_PANIC}")
    }

    /// Has another ledger append the value first, then appends it here.
    pub(crate) async fn relay(&mut self, cx: &Cx, to: String, value: u64) -> Result<u64> {
        with_checker(|checker| checker.crossing.leaves(value, cx.key(), self.values.len()));
        cx.actor::<Ledger>(to).mirror(value).await?;
        self.values.push(value);
        Ok(self.values.len() as u64)
    }

    /// Appends what another ledger sends.
    pub(crate) async fn mirror(&mut self, value: u64) -> u64 {
        with_checker(|checker| {
            if let Some((key, length)) = checker.crossing.arrives(value) {
                checker.output(&key, length, "a call made in the middle of a turn");
            }
        });
        self.values.push(value);
        self.values.len() as u64
    }
}
