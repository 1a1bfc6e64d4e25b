//! A turn whose reply nobody waits for.
//!
//! It takes its place in the actor's mailbox before [`tell`] returns, so what one caller tells and then calls comes in
//! that order. If the actor is idle the turn also runs at once, on the caller's thread and without a task; what cannot
//! end there goes on in a task. The turn does not wait for its own commit: nothing of it comes back, and what it tells
//! others waits by itself. A failure becomes a dead letter.

use std::any::TypeId;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use serde::Serialize;
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use super::begin::met;
use super::drain::Running;
use super::inline::Turn;
use super::turn::{self, CallForm, Progress};
use super::{Begun, Core, inline, post};
use crate::actor::Method;
use crate::call::{Call, CallContext};
use crate::codec::{ContentType, Payload};
use crate::error::CallError;
use crate::filter::Way;
use crate::identity::ActorId;
use crate::reference::encode;
use crate::shard::OwnedShard;

/// How long to wait for a shard that is moving away to be gone.
const TOLD_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What becomes of a typed message made in this process: `Err` gives it back, because its shard is not served here.
pub(crate) type Told<M> = Result<(), (ActorId, CallContext, <M as Method>::Arguments)>;

impl Core {
    /// Starts an encoded call whose reply nobody waits for, in the order in which it is told. Gives it back if its shard
    /// is not served here.
    pub fn tell(self: &Arc<Self>, call: Call) -> Result<(), Box<Call>> {
        let Some(shard) = self.place_of(&call.target) else { return Err(Box::new(call)) };
        match self.types.get(call.target.actor_type.as_str()) {
            Some(table) => table.tell(self, shard, call),
            None => {
                let error = self.unknown_type(call.target.actor_type.as_str());
                self.undelivered(&call, &error);
            }
        }
        Ok(())
    }

    /// The same for a typed call, which is not encoded if that is not needed.
    pub(crate) fn tell_local<M: Method>(
        self: &Arc<Self>,
        target: ActorId,
        context: CallContext,
        arguments: M::Arguments,
    ) -> Told<M> {
        let Some(arguments) = self.tell_now::<M>(&target.key, || context.clone(), arguments) else {
            return Ok(());
        };
        let owned = self.place_of(&target);
        let (Some(shard), true) = (owned, self.typed.contains_key(&TypeId::of::<M::Actor>())) else {
            return Err((target, context, arguments));
        };
        // Only a turn that may write needs the encoded form: for its record, and to be told elsewhere.
        let encoded = match turn::commits::<M>().then(|| encode::<M>(&arguments)).transpose() {
            Ok(encoded) => encoded,
            Err(error) => {
                let error = error.map_app(|_: M::Error| CallError::Invalid("the arguments".into()));
                self.dead_letters.told(self.env.unix_ms(), target, M::NAME.into(), &error);
                return Ok(());
            }
        };
        let arguments_hash = encoded.as_ref().map_or(0, |payload| xxh3_64(&payload.data));
        let form = CallForm { arguments_hash, ..CallForm::default() };
        start::<M>(self, shard, Message { target, context, arguments, form, encoded });
        Ok(())
    }

    /// Runs the turn of a message if that can be done before its sender goes on; else gives the arguments back.
    pub(crate) fn tell_now<M: Method>(
        self: &Arc<Self>,
        key: &SmolStr,
        context: impl Fn() -> CallContext,
        arguments: M::Arguments,
    ) -> Option<M::Arguments> {
        match self.begin_tell::<M>(key, context, arguments) {
            Begun::NotNow(arguments) => return Some(arguments),
            Begun::Waiting(..) => unreachable!("messages do not wait for a reply"),
            Begun::Done(Ok(_)) => {}
            Begun::Done(Err(error)) => self.failed::<M>(met::<M::Actor>(key), error),
            Begun::Suspended(end) => {
                let (engine, target) = (self.clone(), met::<M::Actor>(key));
                self.env.spawn(Box::pin(async move {
                    if let Err(error) = end.await {
                        engine.failed::<M>(target, error);
                    }
                }));
            }
        }
        None
    }

    /// The turn of a message has failed.
    fn failed<M: Method>(&self, target: ActorId, error: CallError<M::Error>) {
        self.dead_letters.told(self.env.unix_ms(), target, M::NAME.into(), &encode_error(error));
    }

    /// A message that was told and cannot be delivered.
    pub fn undelivered(&self, call: &Call, error: &CallError<Payload>) {
        self.dead_letters.told(self.env.unix_ms(), call.target.clone(), call.method.clone(), error);
    }
}

/// Starts an encoded call of this method.
pub(super) fn encoded<M: Method>(engine: &Arc<Core>, shard: Arc<OwnedShard>, call: Call) {
    match call.arguments.decode::<M::Arguments>("the arguments") {
        Ok(arguments) => {
            let reply_type = call.arguments.content_type;
            let form = CallForm { arguments_hash: xxh3_64(&call.arguments.data), reply_type, durable: false };
            let Call { target, context, arguments: encoded, .. } = call;
            start::<M>(engine, shard, Message { target, context, arguments, form, encoded: Some(encoded) });
        }
        Err(error) => engine.undelivered(&call, &CallError::Invalid(error.to_string())),
    }
}

/// A message on its way into its actor.
struct Message<M: Method> {
    target: ActorId,
    context: CallContext,
    arguments: M::Arguments,
    form: CallForm,
    /// To be told again if the shard moves away; volatile and reading methods that were told in this process have none.
    encoded: Option<Payload>,
}

fn start<M: Method>(engine: &Arc<Core>, shard: Arc<OwnedShard>, message: Message<M>) {
    let Some(table) = engine.typed.get(&TypeId::of::<M::Actor>()) else { return };
    let (pace, deadline, target) = (table.pace(), message.context.deadline, message.target.clone());
    let here = inline::may_run_here(pace);
    let measure = inline::sample().then(|| pace.clone());
    let mut told = Turn::new(measure, run::<M>(Running::new(engine.clone()), shard, message));
    if told.begin(here, &mut Context::from_waker(Waker::noop())).is_pending() {
        let later = engine.clone();
        engine.env.spawn(Box::pin(async move {
            if tokio::time::timeout_at(deadline, told).await.is_err() {
                // The turn ends as soon as it has committed, so what was dropped has not happened.
                let late = Err(CallError::Timeout { committed: Some(false) });
                if let Err(late) = later.answered::<M, ()>(late) {
                    later.failed::<M>(target, late);
                }
            }
        }));
    }
}

async fn run<M: Method>(running: Running, shard: Arc<OwnedShard>, message: Message<M>) {
    let Message { target, mut context, arguments, form, encoded } = message;
    let engine = running.engine().clone();
    let again = encoded.map(|encoded| (context.clone(), encoded));
    let outcome = match engine.around::<M>(&target, Way::Tell, &mut context) {
        Ok(around) => {
            let turn = turn_of::<M>(&engine, &shard, &target, context, arguments, form);
            let outcome = engine.answered::<M, _>(around.within(turn).await);
            around.ended(&outcome);
            outcome
        }
        Err(refusal) => Err(refusal),
    };
    let Err(error) = outcome else { return };
    match (encode_error(error), again) {
        // The shard has moved away, and nothing of the turn remains: it goes where the shard went.
        (CallError::Unavailable(_), Some((context, arguments)))
            if context.deadline > engine.env.now()
                && let Some(transport) = engine.transport() =>
        {
            let call = Call { target, method: M::NAME.into(), arguments, context, delivery: None };
            engine.env.spawn(Box::pin(async move {
                tokio::time::sleep(TOLD_AGAIN_AFTER).await;
                transport.tell(call);
            }));
        }
        (error, _) => {
            engine.dead_letters.told(engine.env.unix_ms(), target, M::NAME.into(), &error);
        }
    }
}

/// A dead letter shows the error as JSON.
fn encode_error<E: Serialize>(error: CallError<E>) -> CallError<Payload> {
    error.map_app(|error| match Payload::encode(ContentType::Json, "the error", &error) {
        Ok(payload) => CallError::App(payload),
        Err(error) => CallError::Invalid(error.to_string()),
    })
}

async fn turn_of<M: Method>(
    engine: &Arc<Core>,
    shard: &Arc<OwnedShard>,
    target: &ActorId,
    context: CallContext,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<(), CallError<M::Error>> {
    let mut guard = turn::enter::<M>(engine, shard, target, &context).await?;
    let cx = turn::cx::<M>(&guard, || context);
    if let Some(stored) = turn::applied_before::<M>(&mut guard, &cx, &form) {
        return stored.map(drop);
    }
    turn::execute::<M>(&mut guard, &cx, &Progress::default(), arguments, form).await?;
    let told = post::put(&cx);
    drop(guard);
    if told {
        post::send(engine, shard);
    }
    Ok(())
}
