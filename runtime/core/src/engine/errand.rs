//! A call with an errand: who makes it keeps rows about it, and these change with the very commit of the turn that
//! answers it. So "it was done" and "it is known to be done" are one record, and no crash comes in between.
//!
//! What cannot be done by a call can be given up: the errand's rows then change in a record of their own, appended while
//! no turn of the actor runs.

use std::any::TypeId;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::Core;
use super::activation::{EnterError, Entry};
use super::drain::Running;
use super::inline;
use super::turn::{self, CallForm, Progress};
use crate::actor::{Actor, ActorMethods, Method};
use crate::call::{Call, CallResult};
use crate::codec::Payload;
use crate::cx::Cx;
use crate::error::CallError;
use crate::filter::Way;
use crate::identity::ActorId;
use crate::reference::MOVED_AWAY;
use crate::rows::RowChange;
use crate::shard::OwnedShard;

/// What is to be done inside the turn that answers a call.
pub(crate) trait Errand: Send + Sync {
    /// Called when the turn has its actor, before its method. The rows that it changes with [`Cx::change_row`] are part
    /// of the turn's commit, and gone with a turn that fails. `Err` says why the turn must not take place.
    fn begin(&self, cx: &Cx) -> Result<(), String>;

    /// The rows to change when there is no call, asked while no turn of the actor runs.
    fn rows(&self) -> Result<Vec<RowChange>, String>;
}

/// A shared errand; most calls have none.
pub(crate) type SharedErrand = Arc<dyn Errand>;

/// Runs a call with its errand. Nobody wants the reply.
pub(super) async fn call<M: Method>(
    engine: Arc<Core>,
    shard: Arc<OwnedShard>,
    call: Call,
    errand: SharedErrand,
) -> CallResult {
    if !turn::commits::<M>() {
        return Err(CallError::Invalid(format!(
            "{}.{} commits nothing: make it a `&mut self` method that is not volatile again",
            M::Actor::TYPE,
            M::NAME
        )));
    }
    let Call { target, mut context, arguments: encoded, .. } = call;
    let arguments = encoded.decode::<M::Arguments>("the arguments")?;
    let arguments_hash = xxh3_64(&encoded.data);
    let form = CallForm { arguments_hash, reply_type: encoded.content_type, durable: true };
    let table =
        engine.typed.get(&TypeId::of::<M::Actor>()).ok_or_else(|| engine.unknown_type(M::Actor::TYPE))?;
    let error = |error: M::Error| match Payload::encode_error(encoded.content_type, &error) {
        Ok(payload) => CallError::App(payload),
        Err(error) => CallError::Invalid(error.to_string()),
    };
    let around = engine.around::<M>(&target, Way::Reminder, &mut context);
    let around = around.map_err(|refusal| refusal.map_app(error))?;
    let deadline = context.deadline;
    let turn = {
        let engine = engine.clone();
        around.within(async move {
            let guard = match turn::enter::<M>(&engine, &shard, &target, &context).await {
                Ok(guard) => guard,
                Err(error) => return engine.answered::<M, _>(Err(error)),
            };
            let cx = turn::cx::<M>(&guard, || context);
            errand.begin(&cx).map_err(CallError::Invalid)?;
            // Whether it was committed the rows tell; so nobody asks how far it came.
            turn::turn::<M>(guard, cx, Progress::default(), arguments, form).await.map(drop)
        })
    };
    let outcome = match inline::run(&engine.env, table.pace(), deadline, turn).await {
        Ok(outcome) => outcome,
        Err(why) => engine.answered::<M, _>(Err(Progress::default().interrupted(why))),
    };
    around.ended(&outcome);
    outcome.map(|()| Payload::default()).map_err(|failed| failed.map_app(error))
}

/// Commits the errand's rows in a turn that calls no method, behind the turns that wait now.
pub(super) async fn run<A: ActorMethods>(
    engine: Arc<Core>,
    shard: Arc<OwnedShard>,
    actor: ActorId,
    errand: SharedErrand,
) -> Result<(), String> {
    let _running = Running::new(engine.clone());
    let entry = Entry { exclusive: true, reenter: false, mailbox: usize::MAX };
    loop {
        if shard.gate().committed().is_none() {
            return Err(MOVED_AWAY.into());
        }
        let activation = engine.activation::<A>(&actor, &shard).ok_or(MOVED_AWAY)?;
        match activation.enter(entry).await {
            Ok(_guard) => return engine.append_errand(&shard, &*errand).await,
            Err(EnterError::Gone) => engine.forget_gone(&actor),
            Err(EnterError::Overloaded) => return Err("the actor's mailbox is full".into()),
        }
    }
}

impl Core {
    /// Appends the errand's rows. The caller has the actor for itself.
    pub(super) async fn append_errand(
        &self,
        shard: &Arc<OwnedShard>,
        errand: &dyn Errand,
    ) -> Result<(), String> {
        let rows = self.complete_rows(shard, errand.rows()?).await.map_err(|error| error.to_string())?;
        let told = self.followed(&rows);
        let seq = shard.append_rows(rows).map_err(|error| format!("{error:?}"))?;
        self.tell_followers(shard, seq, &told);
        Ok(())
    }
}
