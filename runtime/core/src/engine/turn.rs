//! One turn: a method call as a transaction.
//!
//! 1. A call that its own chain waits for fails at once (`Deadlock`).
//! 2. The turn waits for the actor and loads it if it is not in memory.
//! 3. A call that was applied before is answered from the window (I4).
//! 4. The method runs. On `Err`, panic or cancellation the state goes back to the last good one.
//! 5. If an exclusive turn of a durable type changed the state, the new state and the call's deduplication record are
//!    appended to the shard as one record. A turn that changed nothing writes nothing. What a relaxed turn changed is
//!    appended later, with what others did: see `write_behind`.
//! 6. The actor is free for the next turn, which runs on the state that is not durable yet.
//! 7. The output gate: the reply, good or bad, leaves when the newest record that the turn saw is committed (I3).

use std::any::{Any, TypeId};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use smol_str::SmolStr;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing::span::EnteredSpan;
use xxhash_rust::xxh3::xxh3_64;

use super::activation::{AnyActivation, EnterError, Entry, Loaded, SharedState, Stored, TurnGuard};
use super::inline::{self, Interrupted};
use super::post;
use super::state;
use super::window::{Applied, CallWindow};
use super::{Core, Local, deadlock, lifecycle, windows, write_behind};
use crate::actor::{Access, Actor, ActorMethods, Durability, Method};
use crate::call::{Call, CallContext, CallResult};
use crate::codec::{ContentType, Payload};
use crate::cx::Cx;
use crate::error::{AppError, CallError};
use crate::filter::Way;
use crate::identity::{ActorId, Seq};
use crate::index;
use crate::journal::{CallRecord, Commit, JournalError};
use crate::protobuf;
use crate::reference::{MOVED_AWAY, encode};
use crate::rows::RowChange;
use crate::shard::{AppendError, Closed, OwnedShard};

/// The largest state of an actor, encoded: larger state belongs in several actors.
pub const MAX_STATE_BYTES: usize = 16 << 20;

/// Why a node that will soon stop turns a call away.
pub(super) const DRAINING: &str = "the node is draining; repeat the call with the same id";

/// What a turn answered.
pub(super) enum Answer<M: Method> {
    Fresh(M::Reply),
    /// The reply of the first call with this id.
    Stored(Payload),
}

/// What a call's deduplication record is made from.
#[derive(Default)]
pub(super) struct CallForm {
    pub(super) arguments_hash: u64,
    pub(super) reply_type: ContentType,
    /// The commit is durable before the answer leaves, whatever the method promises.
    pub(super) durable: bool,
}

/// True if turns of this method may write a record.
pub(super) fn commits<M: Method>() -> bool {
    M::Access::EXCLUSIVE && M::DURABILITY != Durability::Volatile
}

/// True if turns of this method change a stored state in memory only.
pub(super) fn only_remembers<M: Method>() -> bool {
    M::Access::EXCLUSIVE
        && M::DURABILITY == Durability::Volatile
        && M::Actor::OPTIONS.durability != Durability::Volatile
}

/// A call made in this process.
pub(super) async fn call_typed<M: Method>(
    engine: &Arc<Core>,
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
    let form = CallForm { arguments_hash, ..CallForm::default() };
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
    engine: Arc<Core>,
    shard: Arc<OwnedShard>,
    call: Call,
) -> CallResult {
    let reply_type = call.arguments.content_type;
    let what = "the arguments";
    let arguments = call.arguments.decode::<M::Arguments>(what).map_err(|error| {
        let names = if M::ARGUMENTS.is_empty() { "no arguments".into() } else { M::ARGUMENTS.join(", ") };
        CallError::Invalid(format!("{error}; {}.{} takes {names}", M::Actor::TYPE, M::NAME))
    })?;
    if reply_type == ContentType::Protobuf && !protobuf::content::is_message::<M::Reply>() {
        let (actor, method) = (M::Actor::TYPE, M::NAME);
        return Err(CallError::Invalid(format!(
            "what {actor}.{method} returns is no protobuf message; call it with MessagePack or JSON"
        )));
    }
    if call.context.deadline <= engine.env.now() {
        return Err(CallError::Timeout { committed: Some(false) });
    }
    let form = CallForm { arguments_hash: xxh3_64(&call.arguments.data), reply_type, durable: false };
    let answer = run::<M>(&engine, shard, call.target, call.context, arguments, form).await;
    let encode_error = |error: M::Error| match Payload::encode_error(reply_type, &error) {
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
    engine: &Arc<Core>,
    shard: Arc<OwnedShard>,
    target: ActorId,
    mut context: CallContext,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<Answer<M>, CallError<M::Error>> {
    let path = context.chain.cycle(&target, M::Access::EXCLUSIVE);
    if !path.is_empty() && !M::Actor::OPTIONS.stateless {
        if M::REENTRANT {
            return Box::pin(windows::visit(engine, &shard, target, context, arguments, form)).await;
        }
        return engine.answered::<M, _>(Err(CallError::Deadlock { path }));
    }
    let table =
        engine.typed.get(&TypeId::of::<M::Actor>()).ok_or_else(|| engine.unknown_type(M::Actor::TYPE))?;
    let measure = inline::sample().then(|| table.pace().clone());
    if measure.is_some() {
        engine.sampled(&target);
    }
    let around = engine.around::<M>(&target, Way::Call, &mut context)?;
    let (deadline, progress) = (context.deadline, Progress::of::<M>());
    let turn = {
        let (engine, progress) = (engine.clone(), progress.clone());
        around.within(async move {
            let guard = match enter::<M>(&engine, &shard, &target, &context).await {
                Ok(guard) => guard,
                Err(error) => return engine.answered::<M, _>(Err(error)),
            };
            let cx = cx::<M>(&guard, || context);
            turn::<M>(guard, cx, progress, arguments, form).await
        })
    };
    let outcome = match inline::run_in_order(&engine.env, table.pace(), measure, deadline, turn).await {
        Ok(outcome) => outcome,
        Err(interrupted) => engine.answered::<M, _>(Err(progress.interrupted(interrupted))),
    };
    around.ended(&outcome);
    outcome
}

/// Costs next to nothing while nobody collects spans of this target.
pub(super) fn span<M: Method>(target: &ActorId) -> Span {
    tracing::info_span!(target: "greenroom::turn", "turn", actor = %target, method = M::NAME)
}

/// The same, entered, for a turn that ends where it begins; `None` while nobody collects it. In a box: then it costs a
/// turn without one nothing that there could be one.
#[inline]
pub(super) fn in_span<M: Method>(target: &ActorId) -> Option<Box<EnteredSpan>> {
    if LevelFilter::current() < LevelFilter::INFO { None } else { entered::<M>(target) }
}

#[cold]
fn entered<M: Method>(target: &ActorId) -> Option<Box<EnteredSpan>> {
    Some(span::<M>(target)).filter(|span| !span.is_disabled()).map(|span| Box::new(span.entered()))
}

/// The context of a turn that has its actor.
pub(super) fn cx<M: Method>(guard: &TurnGuard<M::Actor>, call: impl FnOnce() -> CallContext) -> Cx {
    if !M::TAKES_CX && !commits::<M>() {
        return Cx::NONE;
    }
    Cx::new(guard.activation().clone(), call(), M::Access::EXCLUSIVE, commits::<M>(), guard.saw())
}

/// How far a turn has come, for whoever finds it interrupted. Turns that write nothing never get far.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Option<Arc<AtomicBool>>);

impl Progress {
    pub(super) fn of<M: Method>() -> Self {
        Self(commits::<M>().then(Arc::default))
    }

    /// The turn's record has been appended: nobody here can say any more that the turn did not happen.
    fn set_appended(&self) {
        if let Some(appended) = &self.0 {
            appended.store(true, Ordering::Release);
        }
    }

    pub(super) fn interrupted<E>(&self, why: Interrupted) -> CallError<E> {
        let appended = self.0.as_ref().is_some_and(|appended| appended.load(Ordering::Acquire));
        match why {
            Interrupted::Stopping => CallError::Unavailable("the node is stopping".into()),
            Interrupted::Deadline => CallError::Timeout { committed: (!appended).then_some(false) },
        }
    }
}

/// The turn itself, from the moment it has its actor.
pub(super) async fn turn<M: Method>(
    mut guard: TurnGuard<M::Actor>,
    cx: Cx,
    progress: Progress,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<Answer<M>, CallError<M::Error>> {
    let (saw, answer) = match applied_before::<M>(&mut guard, &cx, &form) {
        Some(Ok((seq, reply))) => {
            progress.set_appended();
            (seq, Ok(Answer::Stored(reply)))
        }
        Some(Err(error)) => (guard.saw(), Err(error)),
        None => {
            let reply = execute::<M>(&mut guard, &cx, &progress, arguments, form).await;
            (guard.saw(), reply.map(Answer::Fresh))
        }
    };
    let told = answer.is_ok() && post::put(&cx);
    guard.leave();
    let activation = guard.activation();
    if told {
        post::send(activation.engine(), activation.shard());
    }
    let answer = match activation.shard().gate().wait(saw).await {
        Ok(()) => answer,
        Err(Closed) => Err(CallError::Unavailable(MOVED_AWAY.into())),
    };
    activation.table().counters().answered(M::INDEX, &answer);
    answer
}

/// Waits for the actor, and loads it if it is not in memory.
pub(super) async fn enter<M: Method>(
    engine: &Arc<Core>,
    shard: &Arc<OwnedShard>,
    target: &ActorId,
    context: &CallContext,
) -> Result<TurnGuard<M::Actor>, CallError<M::Error>> {
    let reenter = !M::Access::EXCLUSIVE && context.chain.frames().any(|frame| frame.actor == *target);
    let entry = Entry { exclusive: M::Access::EXCLUSIVE, reenter, mailbox: M::Actor::OPTIONS.mailbox };
    let mut guard = loop {
        if M::Actor::OPTIONS.stateless {
            break enter_pool::<M>(engine, shard, target).await?;
        }
        if shard.gate().committed().is_none() {
            return Err(CallError::Unavailable(MOVED_AWAY.into()));
        }
        let Some(activation) = engine.activation::<M::Actor>(target, shard) else {
            if let Some(error) = engine.no_memory(target) {
                return Err(error);
            }
            return Err(CallError::Unavailable(MOVED_AWAY.into()));
        };
        let entered = match context.chain.is_empty() {
            true => activation.enter(entry).await,
            false => deadlock::enter(engine, &activation, entry, context)
                .await
                .map_err(|path| CallError::Deadlock { path })?,
        };
        match entered {
            Ok(guard) => break guard,
            Err(EnterError::Gone) => {
                if let Some(reason) = activation.refusal() {
                    return Err(CallError::Refused(reason));
                }
                engine.forget_gone(target);
            }
            Err(EnterError::Overloaded) => return Err(mailbox_is_full::<M>(target)),
        }
    };
    inline::place_taken().await;
    engine.check_supervision::<M::Actor, _>(target)?;
    // The turns that a draining node still runs may need each other; only new work is turned away.
    if engine.turns.is_draining() && context.chain.frames().next().is_none() {
        return Err(CallError::Unavailable(DRAINING.into()));
    }
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
            true => guard = Box::pin(lifecycle::activate::<M>(guard, loaded, context)).await?,
        }
    }
    Ok(guard)
}

/// Waits for a worker of a stateless type.
async fn enter_pool<M: Method>(
    engine: &Arc<Core>,
    shard: &Arc<OwnedShard>,
    target: &ActorId,
) -> Result<TurnGuard<M::Actor>, CallError<M::Error>> {
    let table = engine.table_of::<M::Actor>().ok_or_else(|| engine.unknown_type(M::Actor::TYPE))?;
    engine.enter_pool(&table, target, shard).await.map_err(|error| match error {
        EnterError::Gone => CallError::Unavailable("the node is stopping".into()),
        EnterError::Overloaded => mailbox_is_full::<M>(target),
    })
}

pub(super) fn mailbox_is_full<M: Method>(target: &ActorId) -> CallError<M::Error> {
    let limit = M::Actor::OPTIONS.mailbox;
    CallError::Overloaded(format!(
        "{limit} calls are waiting for {target}; call again later, or raise #[actor(mailbox = …)]"
    ))
}

/// The state of an actor that is nowhere but in memory; `None` if its type's states are stored.
pub(super) fn made_new<A: Actor>() -> Option<Loaded<A>> {
    (A::OPTIONS.durability == Durability::Volatile).then(|| Loaded {
        saw: Seq(0),
        state: A::default(),
        stored: None,
    })
}

async fn load<A: Actor>(engine: &Core, shard: &OwnedShard, target: &ActorId) -> Result<Loaded<A>, String> {
    if let Some(loaded) = made_new() {
        return Ok(loaded);
    }
    let stored = shard.journal().load(shard.shard(), target).await.map_err(|error| error.to_string())?;
    let (state, saved) = match stored.state {
        Some(stored) => state::load(target, stored)?,
        None => state::new(target)?,
    };
    let window = CallWindow::load(stored.calls, engine.env.unix_ms());
    let stored = Stored { saved, window, index: None, slot: None };
    Ok(Loaded { saw: Seq(0), state, stored: Some(Box::new(stored)) })
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
    let Applied { seq, method, arguments_hash, reply, .. } = guard.loaded()?.window()?.find(cx.call_id())?;
    if **method != *M::NAME || *arguments_hash != form.arguments_hash {
        return Some(Err(used_before(cx, method)));
    }
    Some(reply.clone().map(|reply| (*seq, reply)).ok_or(CallError::Timeout { committed: Some(true) }))
}

pub(super) fn used_before<E>(cx: &Cx, method: &str) -> CallError<E> {
    CallError::Invalid(format!(
        "call id {} was used before for {}.{method} with other arguments; give each call an id of its own",
        cx.call_id(),
        cx.actor_id(),
    ))
}

/// The state as a rollback would make it.
pub(super) fn copy_of<A: Actor, E>(state: &A) -> Result<A, CallError<E>> {
    let mut encoded = Vec::new();
    encode_state(state, &mut encoded)?;
    state::decode(&encoded)
        .map_err(|error| CallError::Invalid(format!("the state of {} cannot be read back: {error}", A::TYPE)))
}

/// Runs the method and appends what it changed.
pub(super) async fn execute<M: Method>(
    guard: &mut TurnGuard<M::Actor>,
    cx: &Cx,
    progress: &Progress,
    arguments: M::Arguments,
    form: CallForm,
) -> Result<M::Reply, CallError<M::Error>> {
    if M::Access::EXCLUSIVE {
        prepare_rollback(guard)?;
    }
    let mut ends = cx.ends();
    let loaded = guard.loaded().expect("enter has loaded the state");
    let body = M::run(M::Access::borrow(loaded), cx, arguments);
    let ended = AssertUnwindSafe(body).catch_unwind().await;
    if ended.is_ok() {
        guard.activation().engine().did_not_panic::<M::Actor>(guard.activation().id());
    }
    let reply = match ended {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => return Err(CallError::App(error)),
        Err(panic) => {
            let (actor, message) = (guard.activation().id(), panic_message(&*panic));
            tracing::error!(%actor, method = M::NAME, message, "a method panicked; rolled back");
            guard.activation().engine().panicked::<M::Actor>(actor, message);
            return Err(CallError::Panicked(format!("{actor}.{}: {message}", M::NAME)));
        }
    };
    if commits::<M>() {
        let activation = guard.activation();
        let rows = activation.engine().complete_rows(activation.shard(), cx.take_rows()).await;
        commit::<M>(guard, cx, progress, &reply, form, rows.map_err(not_taken)?)?;
    } else if only_remembers::<M>() {
        let activation = guard.activation().clone();
        let Loaded { state, stored, .. } = alone(guard);
        let stored = stored.as_mut().expect(STORED);
        let mut encoded = Vec::with_capacity(stored.saved.len());
        encode_state(state, &mut encoded)?;
        write_behind::remember::<M::Actor>(activation.id(), stored, encoded);
    }
    guard.changed();
    ends.well();
    Ok(reply)
}

/// Runs a hook as a turn that the caller has entered.
pub(super) fn run_hook<'a, M: Method<Reply = (), Error = AppError>>(
    guard: &'a mut TurnGuard<M::Actor>,
    cx: &'a Cx,
) -> BoxFuture<'a, Result<(), CallError>> {
    async move {
        let none = Payload { content_type: ContentType::Msgpack, data: Bytes::from_static(EMPTY_MAP) };
        let arguments = none.decode("the arguments of a hook")?;
        let form = CallForm::default();
        execute::<M>(guard, cx, &Progress::default(), arguments, form).await
    }
    .boxed()
}

/// A MessagePack map without entries.
const EMPTY_MAP: &[u8] = &[0x80];

/// From here on, whatever ends the turn early puts the state back.
fn prepare_rollback<A: Actor, E>(guard: &mut TurnGuard<A>) -> Result<(), CallError<E>> {
    // A durable type's last good state is its last record; a volatile one has to be encoded now.
    if A::OPTIONS.durability == Durability::Volatile && !A::OPTIONS.no_rollback {
        let (state, before) = guard.before();
        encode_state(state.expect("enter has loaded the state"), before)?;
    }
    guard.changing();
    Ok(())
}

fn commit<M: Method>(
    guard: &mut TurnGuard<M::Actor>,
    cx: &Cx,
    progress: &Progress,
    reply: &M::Reply,
    form: CallForm,
    mut rows: Vec<RowChange>,
) -> Result<(), CallError<M::Error>> {
    let activation = guard.activation().clone();
    let (engine, shard) = (activation.engine(), activation.shard());
    let Loaded { saw, state, stored } = alone(guard);
    let stored = stored.as_mut().expect(STORED);
    let mut encoded = Vec::with_capacity(stored.saved.len());
    encode_state(state, &mut encoded)?;
    if encoded == stored.saved && rows.is_empty() {
        return Ok(());
    }
    let before = || state::decode(&write_behind::last_written(stored)).ok();
    let index = index::update(cx.actor_id(), state, stored.index.as_ref(), before, &mut rows)?;
    let call = CallRecord {
        id: cx.call_id(),
        method: SmolStr::new_static(M::NAME),
        arguments_hash: form.arguments_hash,
        reply: Payload::encode(form.reply_type, "the reply", reply)?,
        at_unix_ms: engine.env.unix_ms(),
    };
    let encoded = Bytes::from(encoded);
    let (actor, earlier) = (cx.actor_id().clone(), Vec::new());
    let commit = Commit { actor, state: encoded.clone(), earlier, call: call.clone(), rows };
    let promise = if form.durable { Durability::Durable } else { M::DURABILITY };
    let taken = write_behind::commit(engine, shard, *saw, stored, promise, commit);
    let seq = taken.map_err(|error| match error {
        AppendError::Closed => CallError::Unavailable(MOVED_AWAY.into()),
        AppendError::Journal(error) => not_taken(error),
    })?;
    progress.set_appended();
    cx.set_saw(seq);
    *saw = seq;
    stored.saved = encoded;
    stored.index = index;
    stored.window.remember(seq, &call);
    Ok(())
}

/// What an exclusive turn works on.
fn alone<A: Actor>(guard: &mut TurnGuard<A>) -> &mut Loaded<A> {
    guard.loaded().and_then(SharedState::get_mut).expect("an exclusive turn holds the state alone")
}

/// Why a turn that has something to keep finds a stored form.
const STORED: &str = "a type that is stored has a stored form";

fn not_taken<E>(error: JournalError) -> CallError<E> {
    match error {
        JournalError::Full { .. } => CallError::Overloaded(error.to_string()),
        error => CallError::Unavailable(error.to_string()),
    }
}

/// Writes the state behind what is in `into`. A panic of the code that does so, which may be the user's, is an error of the
/// turn like one of its method.
pub(super) fn encode_state<A: Actor, E>(state: &A, into: &mut Vec<u8>) -> Result<(), CallError<E>> {
    let encoded = catch_unwind(AssertUnwindSafe(|| state::encode(state, into))).map_err(|panic| {
        CallError::Panicked(format!("writing the state of {}: {}", A::TYPE, panic_message(&*panic)))
    })?;
    encoded.map_err(|error| {
        CallError::Invalid(format!("the state of {} cannot be encoded: {error}", A::TYPE))
    })?;
    if into.len() > MAX_STATE_BYTES {
        return Err(CallError::Invalid(format!(
            "the state of {} would take {} bytes, at most {MAX_STATE_BYTES} are allowed; split it over several actors",
            A::TYPE,
            into.len()
        )));
    }
    Ok(())
}

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl Core {
    /// Counts an answer that no turn gave.
    pub(super) fn answered<M: Method, T>(
        &self,
        answer: Result<T, CallError<M::Error>>,
    ) -> Result<T, CallError<M::Error>> {
        if let Some(table) = self.typed.get(&TypeId::of::<M::Actor>()) {
            table.counters().answered(M::INDEX, &answer);
        }
        answer
    }
}
