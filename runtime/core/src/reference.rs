//! Typed references, and the call that a method of a reference makes.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use smol_str::SmolStr;

use crate::actor::{Actor, Method};
use crate::call::{Call as WireCall, CallContext, Chain, DEFAULT_DEADLINE};
use crate::codec::{ContentType, Payload};
use crate::cx::Cx;
use crate::engine::Local;
use crate::error::CallError;
use crate::identity::{ActorId, ActorType, CallId, IdentityError};
use crate::transport::SharedTransport;

/// Who makes the calls of a reference.
#[derive(Clone)]
pub enum Origin {
    /// A program: the runtime or a client.
    Program(SharedTransport),
    /// A turn of an actor.
    Turn(Cx),
}

impl Origin {
    fn transport(&self) -> &SharedTransport {
        match self {
            Self::Program(transport) => transport,
            Self::Turn(cx) => cx.transport(),
        }
    }

    fn next_call(&self) -> CallContext {
        match self {
            Self::Turn(cx) => cx.next_call(),
            Self::Program(transport) => CallContext {
                id: CallId(transport.env().random()),
                deadline: transport.env().now() + DEFAULT_DEADLINE,
                chain: Chain::default(),
            },
        }
    }
}

/// A reference to an actor by its identity; the generated `…Ref` types wrap it. Making one does no I/O: the actor is
/// loaded when it is first called. A key that is not valid shows as an error of each call.
pub struct ActorRef<A> {
    origin: Origin,
    target: Result<ActorId, IdentityError>,
    actor: PhantomData<fn() -> A>,
}

impl<A> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self { origin: self.origin.clone(), target: self.target.clone(), actor: PhantomData }
    }
}

impl<A: Actor> ActorRef<A> {
    /// A reference to the actor with this key.
    pub fn new(origin: Origin, key: &str) -> Self {
        let target = ActorId::new(ActorType::of::<A>(), key);
        Self { origin, target, actor: PhantomData }
    }

    /// A call of the method `M`; it starts when it is awaited.
    pub fn call<M: Method<Actor = A>>(&self, arguments: M::Arguments) -> Call<M> {
        Call(State::Prepared(Prepared {
            turn: match &self.origin {
                Origin::Turn(cx) => Some(cx.clone()),
                Origin::Program(_) => None,
            },
            transport: self.origin.transport().clone(),
            target: self.target.clone(),
            context: self.origin.next_call(),
            arguments,
        }))
    }
}

/// A call that starts when it is awaited. Dropping it while it runs cancels the turn, which is then rolled back.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<M: Method>(State<M>);

enum State<M: Method> {
    Prepared(Prepared<M>),
    Running(BoxFuture<'static, Result<M::Reply, CallError<M::Error>>>),
    Done,
}

pub(crate) struct Prepared<M: Method> {
    /// The turn that makes the call, if one does.
    pub(crate) turn: Option<Cx>,
    pub(crate) transport: SharedTransport,
    pub(crate) target: Result<ActorId, IdentityError>,
    pub(crate) context: CallContext,
    pub(crate) arguments: M::Arguments,
}

// The pieces are only moved, never pinned in place: the running future has a box of its own.
impl<M: Method> Unpin for Call<M> {}

impl<M: Method> Call<M> {
    /// Waits at most this long; inside a turn never longer than the turn's own caller waits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let State::Prepared(call) = &mut self.0 {
            let deadline = call.transport.env().now() + timeout;
            let inside_a_turn = call.context.chain.frames().next().is_some();
            call.context.deadline =
                if inside_a_turn { deadline.min(call.context.deadline) } else { deadline };
        }
        self
    }

    /// Gives the call this id: whoever calls again with it gets the stored reply, and the call is applied once.
    pub fn call_id(mut self, id: CallId) -> Self {
        if let State::Prepared(call) = &mut self.0 {
            call.context.id = id;
        }
        self
    }
}

impl<M: Method> Call<M> {
    /// The turn that makes the call, if one does.
    pub(crate) fn turn(&self) -> Option<Cx> {
        match &self.0 {
            State::Prepared(call) => call.turn.clone(),
            _ => None,
        }
    }

    /// The call as it was made, instead of starting it.
    pub(crate) fn into_prepared(self) -> Prepared<M> {
        let State::Prepared(call) = self.0 else { panic!("a call was sent after it had begun") };
        call
    }

    /// The call in its encoded form instead of starting it: for those who store it or send it in another way.
    pub(crate) fn into_encoded(self) -> Result<WireCall, CallError<M::Error>> {
        let call = self.into_prepared();
        let target = call.target.map_err(|e| CallError::Invalid(e.to_string()))?;
        let arguments = encode::<M>(&call.arguments)?;
        Ok(WireCall { target, method: SmolStr::new_static(M::NAME), arguments, context: call.context })
    }
}

impl<M: Method> Future for Call<M> {
    type Output = Result<M::Reply, CallError<M::Error>>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.0, State::Prepared(_))
            && let State::Prepared(call) = std::mem::replace(&mut self.0, State::Done)
        {
            self.0 = State::Running(Box::pin(call.run()));
        }
        let State::Running(running) = &mut self.0 else { panic!("a call was polled after its reply") };
        let poll = running.as_mut().poll(task);
        if poll.is_ready() {
            self.0 = State::Done;
        }
        poll
    }
}

impl<M: Method> Prepared<M> {
    async fn run(self) -> Result<M::Reply, CallError<M::Error>> {
        let Self { turn, transport, target, context, arguments } = self;
        let target = target.map_err(|e| CallError::Invalid(e.to_string()))?;
        if let Some(turn) = turn {
            turn.output_gate().await.map_err(|_| CallError::Unavailable(MOVED_AWAY.into()))?;
            turn.earlier_messages().await;
        }
        let (context, arguments, begun) = match transport.engine() {
            Some(engine) => match engine.call_local::<M>(&target, context, arguments).await {
                Local::Done(outcome) => return outcome,
                Local::Elsewhere(context, arguments) => (context, encode::<M>(&arguments)?, false),
                Local::Moved(context, arguments) => (context, arguments, true),
            },
            None => (context, encode::<M>(&arguments)?, false),
        };
        let call = WireCall { target, method: SmolStr::new_static(M::NAME), arguments, context };
        let reply = transport.call(call).await.map_err(|error| match error {
            // The transport speaks of its own attempts; the one made here may have been committed.
            CallError::Timeout { committed: Some(false) } if begun => CallError::Timeout { committed: None },
            error => error.typed(),
        })?;
        Ok(reply.decode("the reply")?)
    }
}

/// The arguments in the form that goes to another node and that deduplication compares.
pub(crate) fn encode<M: Method>(arguments: &M::Arguments) -> Result<Payload, CallError<M::Error>> {
    Ok(Payload::encode(ContentType::Msgpack, "the arguments", arguments)?)
}

/// Why a turn cannot speak any more.
pub(crate) const MOVED_AWAY: &str =
    "the actor's shard has moved to another node; repeat the call with the same id";
