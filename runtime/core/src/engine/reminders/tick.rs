//! One reminder that is due.
//!
//! Its tick is an ordinary call of its actor, with an errand: the turn that answers it moves the reminder on, in its own
//! commit. A turn that fails leaves everything as it was, and the tick is tried again, later each time; after
//! [`ATTEMPTS`] it becomes a dead letter and the reminder goes on to its next due time. An actor that nobody can reach
//! right now (overloaded, moving, draining) costs no attempt.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::Reminders;
use super::agenda::Taken;
use super::stored::{Stored, due_of, name_in, split_name_key};
use crate::call::{Call, CallContext, CallResult, Chain, DEFAULT_DEADLINE};
use crate::codec::Payload;
use crate::cx::Cx;
use crate::engine::errand::Errand;
use crate::engine::{Core, Message};
use crate::error::CallError;
use crate::identity::ActorId;
use crate::rows::RowChange;
use crate::shard::OwnedShard;

/// How often a tick is tried.
pub(crate) const ATTEMPTS: u32 = 5;
/// How long after the first failure it is tried again; twice as long after each further one.
const FIRST_AGAIN: Duration = Duration::from_secs(1);
/// So often the time is doubled at most: about an hour, for what cannot be given up because its row cannot be read.
const LONGEST_AGAIN: u32 = 12;
/// How long to wait for an actor that cannot be reached right now.
const UNREACHABLE_AGAIN: Duration = Duration::from_millis(500);

/// How a tick ended.
enum End {
    Done,
    Skipped,
    /// The attempt failed.
    Failed(CallError<Payload>),
    /// It failed for the last time, and the reminder has gone on without it.
    GivenUp,
    /// The actor could not be reached.
    Unreachable,
}

impl Reminders {
    /// Does what is to be done for a reminder that is due.
    pub(super) async fn tick(self: &Arc<Self>, shard: &Arc<OwnedShard>, taken: Taken) {
        let end = self.try_tick(shard, &taken).await;
        let (failures, wait) = match end {
            End::Done => {
                self.counts.ticks.fetch_add(1, Ordering::Relaxed);
                (0, FIRST_AGAIN)
            }
            End::Skipped => {
                self.counts.skipped.fetch_add(1, Ordering::Relaxed);
                (0, FIRST_AGAIN)
            }
            End::GivenUp => {
                self.counts.given_up.fetch_add(1, Ordering::Relaxed);
                (0, FIRST_AGAIN)
            }
            End::Failed(error) => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                let name =
                    split_name_key(&name_in(&taken.key)).map(|(actor, name)| format!("{actor} {name}"));
                tracing::warn!(reminder = name, attempt = taken.failures + 1, %error, "a reminder's tick failed");
                (taken.failures + 1, FIRST_AGAIN * 2u32.pow(taken.failures.min(LONGEST_AGAIN)))
            }
            End::Unreachable => (taken.failures, UNREACHABLE_AGAIN),
        };
        let at = self.env.unix_ms() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        // What has been done is not the agenda's any more: its commit has changed the row.
        self.with_agenda(shard, |agenda| agenda.again(&taken.key, taken.ticket, failures, at));
    }

    async fn try_tick(self: &Arc<Self>, shard: &Arc<OwnedShard>, taken: &Taken) -> End {
        let Some(engine) = self.engine() else { return End::Unreachable };
        // Not for ever: its place among those that tick is wanted.
        let durable = tokio::time::timeout(DEFAULT_DEADLINE, shard.gate().wait(taken.seq)).await;
        if !matches!(durable, Ok(Ok(()))) {
            return End::Unreachable;
        }
        let (due, key) = (due_of(&taken.key), name_in(&taken.key));
        let stored = match self.stored(shard, &key).await {
            Ok(Some(stored)) if stored.due == due => stored,
            Ok(_) => return End::Failed(CallError::Invalid("the reminder's row cannot be read".into())),
            Err(error) => return End::Failed(CallError::Unavailable(error.to_string())),
        };
        let Some((actor, name)) = split_name_key(&key) else {
            return End::Failed(CallError::Invalid("the reminder's key cannot be read".into()));
        };
        let step = match stored.schedule.step(due, self.env.unix_ms()) {
            Ok(step) => step,
            Err(error) => return End::Failed(CallError::Invalid(error.to_string())),
        };
        let moved = stored.clone().moved(&key, step.next);
        let errand = |letter: Vec<RowChange>| {
            let (reminders, shard) = (self.clone(), shard.clone());
            Arc::new(Tick { reminders, shard, taken: taken.clone(), moved: moved.clone(), letter })
        };
        let Some(tick) = step.tick else {
            tracing::info!(%actor, name, due, "a reminder's tick was missed and is skipped");
            return match engine.move_on(shard, &actor, errand(Vec::new())).await {
                Ok(()) => End::Skipped,
                Err(_) => End::Unreachable,
            };
        };
        let call = call(&engine, &actor, &stored, &key, tick);
        let (method, arguments, id) = (call.method.clone(), call.arguments.clone(), call.context.id);
        let request = stored.request.clone();
        match engine.call_with_errand(shard, call, errand(Vec::new())).await {
            Ok(_) => End::Done,
            Err(CallError::Unavailable(_) | CallError::Overloaded(_)) => End::Unreachable,
            Err(error) if taken.failures + 1 >= ATTEMPTS => {
                tracing::error!(%actor, name, %error, "a reminder's tick is given up: a dead letter");
                let message = Message { target: actor.clone(), method, arguments, id, request };
                let letter = engine.outbox.letter_rows(shard, message, &error);
                match engine.move_on(shard, &actor, errand(letter)).await {
                    Ok(()) => End::GivenUp,
                    Err(_) => End::Unreachable,
                }
            }
            Err(error) => End::Failed(error),
        }
    }
}

fn call(engine: &Core, actor: &ActorId, stored: &Stored, key: &Bytes, tick: u64) -> Call {
    Call {
        target: actor.clone(),
        method: stored.method.clone(),
        arguments: stored.arguments.clone(),
        context: CallContext {
            id: stored.tick_id(key, tick),
            deadline: engine.env().now() + DEFAULT_DEADLINE,
            chain: Chain::default(),
            request: stored.request.clone(),
        },
        delivery: None,
    }
}

/// Moves the reminder on in the commit of the turn that answers its tick.
struct Tick {
    reminders: Arc<Reminders>,
    shard: Arc<OwnedShard>,
    taken: Taken,
    moved: RowChange,
    /// What is to be kept of a tick that is given up.
    letter: Vec<RowChange>,
}

impl Tick {
    fn check(&self) -> Result<(), String> {
        if self.reminders.is_current(&self.shard, &self.taken) {
            return Ok(());
        }
        Err("the reminder was changed or forgotten before its tick came".into())
    }
}

impl Errand for Tick {
    fn begin(&self, cx: &Cx) -> Result<(), String> {
        self.check()?;
        cx.change_row(self.moved.clone());
        Ok(())
    }

    fn rows(&self) -> Result<Vec<RowChange>, String> {
        self.check()?;
        Ok([self.moved.clone()].into_iter().chain(self.letter.iter().cloned()).collect())
    }
}

impl Core {
    /// Runs a call of an actor of this shard with an errand.
    async fn call_with_errand(
        self: &Arc<Self>,
        shard: &Arc<OwnedShard>,
        call: Call,
        errand: Arc<Tick>,
    ) -> CallResult {
        match self.types.get(call.target.actor_type.as_str()) {
            Some(table) => table.call_with_errand(self.clone(), shard.clone(), call, errand).await,
            None => Err(self.unknown_type(call.target.actor_type.as_str())),
        }
    }

    /// Commits an errand's rows without a call, in a turn that has the actor for itself.
    async fn move_on(
        self: &Arc<Self>,
        shard: &Arc<OwnedShard>,
        actor: &ActorId,
        errand: Arc<Tick>,
    ) -> Result<(), String> {
        match self.types.get(actor.actor_type.as_str()) {
            Some(table) => table.run_errand(self.clone(), shard.clone(), actor.clone(), errand).await,
            // No turn of a type that the program does not have can run here.
            None => self.append_errand(shard, &*errand).await,
        }
    }
}
