//! How turns and programs send messages: calls whose reply nobody waits for.

use smol_str::SmolStr;

use crate::actor::Method;
use crate::call::{Call as WireCall, CallContext, Chain, DEFAULT_DEADLINE};
use crate::cx::Cx;
use crate::engine::{Engine, Outgoing};
use crate::error::CallError;
use crate::identity::ActorId;
use crate::reference::{Call, MOVED_AWAY, encode};
use crate::transport::SharedTransport;

impl Cx {
    /// Sends a message: makes the call when this turn has ended well, without waiting for its reply.
    ///
    /// The message leaves when the turn is committed, and not at all if the turn fails. It is delivered at most once:
    /// a crash of either node may lose it. What this actor tells another arrives in the order of its turns, and before
    /// what later turns call. The message has 10 seconds, from when it leaves, to be applied; one that nobody takes is
    /// counted and becomes a dead letter.
    ///
    /// # Errors
    /// `Invalid` if the key of the target is none.
    pub fn tell<M: Method>(&self, call: Call<M>) -> Result<(), CallError> {
        self.send_at_end(Box::new(Letter::new(call)?));
        Ok(())
    }
}

impl<M: Method> Call<M> {
    /// Makes the call without waiting for its reply. In a turn it is [`Cx::tell`]; in a program the call starts at once.
    ///
    /// What a program tells one actor is taken in that order, and before what it then calls. A message that nobody
    /// takes within the call's deadline is counted and becomes a dead letter.
    ///
    /// # Errors
    /// `Invalid` if the key of the target is none.
    pub fn tell(self) -> Result<(), CallError> {
        match self.turn() {
            Some(turn) => turn.tell(self),
            None => {
                let Letter { transport, target, context, arguments } = Letter::new(self)?;
                send::<M>(&transport, target, context, arguments);
                Ok(())
            }
        }
    }
}

/// A message of a turn that has not left yet.
struct Letter<M: Method> {
    transport: SharedTransport,
    target: ActorId,
    context: CallContext,
    arguments: M::Arguments,
}

impl<M: Method> Letter<M> {
    fn new(call: Call<M>) -> Result<Self, CallError> {
        let call = call.into_prepared();
        let target = call.target.map_err(|error| CallError::Invalid(error.to_string()))?;
        Ok(Self { transport: call.transport, target, context: call.context, arguments: call.arguments })
    }
}

impl<M: Method> Outgoing for Letter<M> {
    fn send(self: Box<Self>) {
        let Self { transport, target, mut context, arguments } = *self;
        // Nobody waits for it: it has its own time, and no call waits for the turn that it starts.
        context.deadline = transport.env().now() + DEFAULT_DEADLINE;
        context.chain = Chain::default();
        send::<M>(&transport, target, context, arguments);
    }

    fn give_up(self: Box<Self>, engine: &Engine) {
        let error = CallError::Unavailable(MOVED_AWAY.into());
        engine.dead_letters().told(engine.env().unix_ms(), self.target, method::<M>(), &error);
    }
}

fn send<M: Method>(
    transport: &SharedTransport,
    target: ActorId,
    context: CallContext,
    arguments: M::Arguments,
) {
    let elsewhere = match transport.engine() {
        Some(engine) => engine.tell_local::<M>(target, context, arguments),
        None => Err((target, context, arguments)),
    };
    let Err((target, context, arguments)) = elsewhere else { return };
    match encode::<M>(&arguments) {
        Ok(arguments) => transport.tell(WireCall { target, method: method::<M>(), arguments, context }),
        Err(error) => {
            let error = error.map_app(|_| CallError::Invalid("the arguments cannot be encoded".into()));
            match transport.engine() {
                Some(engine) => {
                    engine.dead_letters().told(engine.env().unix_ms(), target, method::<M>(), &error)
                }
                None => {
                    tracing::warn!(%target, method = M::NAME, %error, "a message was told and nobody took it")
                }
            }
        }
    }
}

fn method<M: Method>() -> SmolStr {
    SmolStr::new_static(M::NAME)
}
