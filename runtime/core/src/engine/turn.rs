//! One turn: a method call as a transaction.
//!
//! 1. A call that its own chain waits for fails at once (`Deadlock`).
//! 2. The turn waits for the actor and loads it if it is not in memory.
//! 3. A call that was applied before is answered from the window (I4).
//! 4. The method runs. On `Err`, panic or cancellation the state goes back to the last good one.
//! 5. If an exclusive turn of a durable type changed the state, the new state and the call's deduplication record are
//!    appended to the shard as one record. A turn that changed nothing writes nothing.
//! 6. The actor is free for the next turn, which runs on the state that is not durable yet.
//! 7. The output gate: the reply, good or bad, leaves when the newest record that the turn saw is committed (I3).

use std::any::{Any, TypeId};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use smol_str::SmolStr;
use tracing::Instrument;
use xxhash_rust::xxh3::xxh3_64;

use super::activation::{EnterError, Entry, Loaded, TurnGuard};
use super::inline::{self, Interrupted};
use super::post;
use super::window::{Applied, CallWindow};
use super::{Engine, Local, lifecycle};
use crate::actor::{Access, Actor, ActorMethods, Durability, Method};
use crate::call::{Call, CallContext, CallResult};
use crate::codec::{ContentType, Payload};
use crate::cx::{Cx, Stage};
use crate::error::{AppError, CallError};
use crate::identity::{ActorId, Seq};
use crate::journal::{CallRecord, Commit, JournalError};
use crate::reference::{MOVED_AWAY, encode};
use crate::shard::{AppendError, OwnedShard};

/// The largest state of an actor, encoded: larger state belongs in several actors.
pub const MAX_STATE_BYTES: usize = 16 << 20;

/// What a turn answered.
enum Answer<M: Method> {
    Fresh(M::Reply),
    /// The reply of the first call with this id.
    Stored(Payload),
}

/// What a call's deduplication record is made from.
pub(super) struct CallForm {
    pub(super) arguments_hash: u64,
    pub(super) reply_type: ContentType,
}

/// True if turns of this method may write a record.
pub(super) fn commits<M: Method>() -> bool {
    M::Access::EXCLUSIVE && M::Actor::OPTIONS.durability == Durability::Durable
}

/// A call made in this process.
pub(super) async fn call_typed<M: Method>(
    engine: &Arc<Engine>,
    shard: Arc<OwnedShard>,
    target: &ActorId,
    context: CallContext,
    arguments: M::Arguments,
) -> Local<M> {
    // Only a turn that may write needs the encoded form: for its record, and to be repeated elsewhere.
    let encoded = match commits::<M>().then(|| encode::<M>(&arguments)).transpose() {
        Ok(encoded) => encoded,
        Err(error) => return Local::Done(Err(error)),
    };
    let arguments_hash = encoded.as_ref().map_or(0, |payload| xxh3_64(&payload.data));
    let again = encoded.map(|payload| (context.clone(), payload));
    let form = CallForm { arguments_hash, reply_type: ContentType::Msgpack };
    match run::<M>(engine, shard, target.clone(), context, arguments, form).await {
        Ok(Answer::Fresh(reply)) => Local::Done(Ok(reply)),
        Ok(Answer::Stored(reply)) => Local::Done(reply.decode("the stored reply").map_err(CallError::from)),
        Err(CallError::Unavailable(reason)) => match again {
            Some((context, arguments)) => Local::Moved(context, arguments),
            None => Local::Done(Err(CallError::Unavailable(reason))),
        },
        Err(error) => Local::Done(Err(error)),
    }
}

/// A call that came over the wire, or by name.
pub(super) async fn call_encoded<M: Method>(
    engine: Arc<Engine>,
    shard: Arc<OwnedShard>,
    call: Call,
) -> CallResult {
    let reply_type = call.arguments.content_type;
    let what = "the arguments";
    let arguments = call.arguments.decode::<M::Arguments>(what).map_err(|error| {
        let names = if M::ARGUMENTS.is_empty() { "no arguments".into() } else { M::ARGUMENTS.join(", ") };
        CallError::Invalid(format!("{error}; {}.{} takes {names}", M::Actor::TYPE, M::NAME))
    })?;
    if call.context.deadline <= engine.env.now() {
        return Err(CallError::Timeout { committed: Some(false) });
    }
    let form = CallForm { arguments_hash: xxh3_64(&call.arguments.data), reply_type };
    let answer = run::<M>(&engine, shard, call.target, call.context, arguments, form).await;
    let encode_error = |error: M::Error| match Payload::encode(reply_type, "the error", &error) {
        Ok(payload) => CallError::App(payload),
        Err(error) => CallError::Invalid(error.to_string()),
    };
    match answer.map_err(|error| error.map_app(encode_error))? {
        Answer::Stored(reply) if reply.content_type == reply_type => Ok(reply),
        Answer::Stored(reply) => {
            let reply: M::Reply = reply.decode("the stored reply")?;
            Ok(Payload::encode(reply_type, "the reply", &reply)?)
        }
        Answer::Fresh(reply) => Ok(Payload::encode(reply_type, "the reply", &reply)?),
    }
}

async fn run<M: Method>(
    engine: &Arc<Engine>,
    shard: Arc<OwnedShard>,
    target: ActorId,
    context: CallContext,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<Answer<M>, CallError<M::Error>> {
    let path = context.chain.cycle(&target, M::Access::EXCLUSIVE);
    if !path.is_empty() {
        return Err(CallError::Deadlock { path });
    }
    // The turns that a draining node still runs may need each other; only new work is turned away.
    if engine.draining.load(Ordering::Relaxed) && context.chain.frames().next().is_none() {
        return Err(CallError::Unavailable("the node is draining; repeat the call with the same id".into()));
    }
    let Some(transport) = engine.transport() else {
        return Err(CallError::Unavailable("the node is stopping; repeat the call with the same id".into()));
    };
    let table =
        engine.typed.get(&TypeId::of::<M::Actor>()).ok_or_else(|| engine.unknown_type(M::Actor::TYPE))?;
    let deadline = context.deadline;
    let cx = Cx::new(target, context, M::Access::EXCLUSIVE, commits::<M>(), transport, shard.clone());
    let running = Running::new(engine.clone());
    // Costs next to nothing while nobody collects spans of this target.
    let span =
        tracing::info_span!(target: "greenroom::turn", "turn", actor = %cx.actor_id(), method = M::NAME);
    let turn = turn::<M>(running, shard, cx.clone(), arguments, form).instrument(span);
    let outcome = match inline::run(&engine.env, table.pace(), deadline, turn).await {
        Ok(outcome) => outcome,
        Err(Interrupted::Stopping) => Err(CallError::Unavailable("the node is stopping".into())),
        Err(Interrupted::Deadline) => Err(CallError::Timeout {
            committed: match cx.stage() {
                Stage::Running => Some(false),
                Stage::Appended => None,
            },
        }),
    };
    table.counters().answered(&outcome);
    outcome
}

async fn turn<M: Method>(
    running: Running,
    shard: Arc<OwnedShard>,
    cx: Cx,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<Answer<M>, CallError<M::Error>> {
    let engine = &running.0;
    let mut guard = enter::<M>(engine, &shard, &cx).await?;
    let answer = match applied_before::<M>(&mut guard, &cx, &form) {
        Some(stored) => stored.map(|(seq, reply)| {
            cx.set_appended(seq);
            Answer::Stored(reply)
        }),
        None => execute::<M>(engine, &mut guard, &shard, &cx, arguments, form).await.map(Answer::Fresh),
    };
    let told = answer.is_ok() && post::put(&cx);
    drop(guard);
    if told {
        post::send(engine, &shard);
    }
    cx.output_gate().await.map_err(|_| CallError::Unavailable(MOVED_AWAY.into()))?;
    answer
}

/// Waits for the actor, and loads it if it is not in memory.
pub(super) async fn enter<M: Method>(
    engine: &Engine,
    shard: &Arc<OwnedShard>,
    cx: &Cx,
) -> Result<TurnGuard<M::Actor>, CallError<M::Error>> {
    let target = cx.actor_id();
    let reenter = !M::Access::EXCLUSIVE && cx.chain().frames().any(|frame| frame.actor == *target);
    let entry = Entry { exclusive: M::Access::EXCLUSIVE, reenter, mailbox: M::Actor::OPTIONS.mailbox };
    let mut guard = loop {
        if shard.gate().committed().is_none() {
            return Err(CallError::Unavailable(MOVED_AWAY.into()));
        }
        let Some(activation) = engine.activation::<M::Actor>(target, shard) else {
            return Err(CallError::Unavailable(MOVED_AWAY.into()));
        };
        match activation.enter(entry).await {
            Ok(guard) => break guard,
            Err(EnterError::Gone) => {
                if let Some(reason) = activation.refusal() {
                    return Err(CallError::Refused(reason));
                }
                engine.forget_gone(target);
            }
            Err(EnterError::Overloaded) => {
                let limit = M::Actor::OPTIONS.mailbox;
                return Err(CallError::Overloaded(format!(
                    "{limit} calls are waiting for {target}; call again later, or raise #[actor(mailbox = …)]"
                )));
            }
        }
    };
    if guard.loaded().is_none() {
        let loaded = match guard.take_kept() {
            Some(kept) => kept,
            None => {
                let durable = shard.gate().wait(guard.load_after()).await;
                durable.map_err(|_| CallError::Unavailable(MOVED_AWAY.into()))?;
                load::<M::Actor>(engine, shard, target).await.map_err(CallError::Unavailable)?
            }
        };
        match M::Actor::hooks().wakes() {
            false => guard.install(loaded, M::Access::EXCLUSIVE),
            // Boxed, so that the turns of other types do not carry its room with them.
            true => guard = Box::pin(lifecycle::activate::<M>(engine, guard, loaded, shard, cx)).await?,
        }
    }
    if let Some(loaded) = guard.loaded() {
        cx.set_saw(loaded.saw);
    }
    Ok(guard)
}

async fn load<A: Actor>(engine: &Engine, shard: &OwnedShard, target: &ActorId) -> Result<Loaded<A>, String> {
    if A::OPTIONS.durability == Durability::Volatile {
        return Ok(Loaded {
            state: A::default(),
            saved: Bytes::new(),
            saw: Seq(0),
            window: CallWindow::default(),
        });
    }
    let stored = shard.journal().load(shard.shard(), target).await.map_err(|error| error.to_string())?;
    let (state, saved) = match stored.state {
        Some(saved) => (rmp_serde::from_slice(&saved).map_err(|e| unreadable(target, &e))?, saved),
        None => {
            let state = A::default();
            let saved = rmp_serde::to_vec_named(&state).map_err(|e| unreadable(target, &e))?;
            (state, saved.into())
        }
    };
    let window = CallWindow::load(stored.calls, engine.env.unix_ms());
    Ok(Loaded { state, saved, saw: Seq(0), window })
}

fn unreadable(target: &ActorId, error: &dyn std::error::Error) -> String {
    format!("the stored state of {target} does not fit its type: {error}; give new fields #[serde(default)]")
}

/// The answer of the first call with this id, if there was one.
#[allow(clippy::type_complexity)]
pub(super) fn applied_before<M: Method>(
    guard: &mut TurnGuard<M::Actor>,
    cx: &Cx,
    form: &CallForm,
) -> Option<Result<(Seq, Payload), CallError<M::Error>>> {
    if !commits::<M>() {
        return None;
    }
    let Applied { seq, method, arguments_hash, reply, .. } = guard.loaded()?.window.find(cx.call_id())?;
    if **method == *M::NAME && *arguments_hash == form.arguments_hash {
        return Some(Ok((*seq, reply.clone())));
    }
    Some(Err(CallError::Invalid(format!(
        "call id {} was used before for {}.{method} with other arguments; give each call an id of its own",
        cx.call_id(),
        cx.actor_id(),
    ))))
}

/// Runs the method and appends what it changed.
pub(super) async fn execute<M: Method>(
    engine: &Engine,
    guard: &mut TurnGuard<M::Actor>,
    shard: &Arc<OwnedShard>,
    cx: &Cx,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<M::Reply, CallError<M::Error>> {
    if M::Access::EXCLUSIVE {
        prepare_rollback(guard)?;
    }
    let loaded = guard.loaded().expect("enter has loaded the state");
    let body = M::run(M::Access::borrow(loaded), cx, arguments);
    let reply = match AssertUnwindSafe(body).catch_unwind().await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => return Err(CallError::App(error)),
        Err(panic) => {
            let message = panic_message(&*panic);
            tracing::error!(actor = %cx.actor_id(), method = M::NAME, message, "a method panicked; rolled back");
            return Err(CallError::Panicked(format!("{}.{}: {message}", cx.actor_id(), M::NAME)));
        }
    };
    if commits::<M>() {
        commit::<M>(engine, guard, shard, cx, &reply, form)?;
    }
    guard.changed();
    Ok(reply)
}

/// Runs a hook as a turn that the caller has entered.
pub(super) fn run_hook<'a, M: Method<Reply = (), Error = AppError>>(
    engine: &'a Engine,
    guard: &'a mut TurnGuard<M::Actor>,
    shard: &'a Arc<OwnedShard>,
    cx: &'a Cx,
) -> BoxFuture<'a, Result<(), CallError>> {
    async move {
        let none = Payload { content_type: ContentType::Msgpack, data: Bytes::from_static(EMPTY_MAP) };
        let arguments = none.decode("the arguments of a hook")?;
        let form = CallForm { arguments_hash: 0, reply_type: ContentType::Msgpack };
        execute::<M>(engine, guard, shard, cx, arguments, form).await
    }
    .boxed()
}

/// A MessagePack map without entries.
const EMPTY_MAP: &[u8] = &[0x80];

/// From here on, whatever ends the turn early puts the state back.
fn prepare_rollback<A: Actor, E>(guard: &mut TurnGuard<A>) -> Result<(), CallError<E>> {
    // A durable type's last good state is its last record; a volatile one has to be encoded now.
    if A::OPTIONS.durability == Durability::Volatile && !A::OPTIONS.no_rollback {
        let loaded = guard.loaded().and_then(Arc::get_mut).expect("an exclusive turn holds the state alone");
        loaded.saved = encode_state(&loaded.state)?;
    }
    guard.changing();
    Ok(())
}

fn commit<M: Method>(
    engine: &Engine,
    guard: &mut TurnGuard<M::Actor>,
    shard: &Arc<OwnedShard>,
    cx: &Cx,
    reply: &M::Reply,
    form: CallForm,
) -> Result<(), CallError<M::Error>> {
    let loaded = guard.loaded().and_then(Arc::get_mut).expect("an exclusive turn holds the state alone");
    let state = encode_state(&loaded.state)?;
    let rows = cx.take_rows();
    if state == loaded.saved && rows.is_empty() {
        return Ok(());
    }
    let call = CallRecord {
        id: cx.call_id(),
        method: SmolStr::new_static(M::NAME),
        arguments_hash: form.arguments_hash,
        reply: Payload::encode(form.reply_type, "the reply", reply)?,
        at_unix_ms: engine.env.unix_ms(),
    };
    let told = engine.followed(&rows);
    let commit = Commit { actor: cx.actor_id().clone(), state: state.clone(), call: call.clone(), rows };
    let seq = shard.append(commit).map_err(|error| match error {
        AppendError::Closed => CallError::Unavailable(MOVED_AWAY.into()),
        AppendError::Journal(error @ JournalError::Full { .. }) => CallError::Overloaded(error.to_string()),
        AppendError::Journal(error) => CallError::Unavailable(error.to_string()),
    })?;
    cx.set_appended(seq);
    loaded.saved = state;
    loaded.saw = seq;
    loaded.window.remember(seq, &call);
    engine.tell_followers(shard, seq, &told);
    Ok(())
}

fn encode_state<A: Actor, E>(state: &A) -> Result<Bytes, CallError<E>> {
    let encoded = rmp_serde::to_vec_named(state).map_err(|error| {
        CallError::Invalid(format!("the state of {} cannot be encoded: {error}", A::TYPE))
    })?;
    if encoded.len() > MAX_STATE_BYTES {
        return Err(CallError::Invalid(format!(
            "the state of {} would take {} bytes, at most {MAX_STATE_BYTES} are allowed; split it over several actors",
            A::TYPE,
            encoded.len()
        )));
    }
    Ok(encoded.into())
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Counts a turn as running for as long as it lives.
pub(super) struct Running(Arc<Engine>);

impl Running {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        engine.running.fetch_add(1, Ordering::SeqCst);
        Self(engine)
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.draining.load(Ordering::SeqCst) {
            self.0.idle.notify_waiters();
        }
    }
}
