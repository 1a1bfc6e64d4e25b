//! How turns and programs send messages: calls whose reply nobody waits for.

use smol_str::SmolStr;

use crate::actor::Method;
use crate::call::{Call as WireCall, CallContext, Chain, DEFAULT_DEADLINE};
use crate::cx::Cx;
use crate::engine::{Core, Outgoing};
use crate::error::CallError;
use crate::identity::ActorId;
use crate::reference::{Call, MOVED_AWAY, Origin, encode};

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
                let Letter { origin, target, context, arguments } = Letter::new(self)?;
                send::<M>(&origin, target, context, arguments);
                Ok(())
            }
        }
    }
}

/// A message of a turn that has not left yet.
struct Letter<M: Method> {
    origin: Origin,
    target: ActorId,
    context: CallContext,
    arguments: M::Arguments,
}

impl<M: Method> Letter<M> {
    fn new(call: Call<M>) -> Result<Self, CallError> {
        let call = call.into_prepared();
        let context = call.head.context();
        let target = call.head.target.map_err(|error| CallError::Invalid(error.to_string()))?;
        Ok(Self { origin: call.head.origin, target, context, arguments: call.arguments })
    }
}

impl<M: Method> Outgoing for Letter<M> {
    fn send(self: Box<Self>) {
        let Self { origin, target, mut context, arguments } = *self;
        // Nobody waits for it: it has its own time, and no call waits for the turn that it starts.
        context.deadline = origin.env().now() + DEFAULT_DEADLINE;
        context.chain = Chain::default();
        send::<M>(&origin, target, context, arguments);
    }

    fn give_up(self: Box<Self>, engine: &Core) {
        let error = CallError::Unavailable(MOVED_AWAY.into());
        engine.dead_letters().told(engine.env().unix_ms(), self.target, method::<M>(), &error);
    }
}

fn send<M: Method>(origin: &Origin, target: ActorId, context: CallContext, arguments: M::Arguments) {
    let elsewhere = match origin.engine() {
        Some(engine) => engine.tell_local::<M>(target, context, arguments),
        None => Err((target, context, arguments)),
    };
    let Err((target, context, arguments)) = elsewhere else { return };
    let error = match (encode::<M>(&arguments), origin.transport()) {
        (Ok(arguments), Some(transport)) => {
            return transport.tell(WireCall { target, method: method::<M>(), arguments, context, delivery: None });
        }
        (Ok(_), None) => CallError::Unavailable("the node is stopping".into()),
        (Err(error), _) => error.map_app(|_| CallError::Invalid("the arguments cannot be encoded".into())),
    };
    match origin.engine() {
        Some(engine) => engine.dead_letters().told(engine.env().unix_ms(), target, method::<M>(), &error),
        None => tracing::warn!(%target, method = M::NAME, %error, "a message was told and nobody took it"),
    }
}

fn method<M: Method>() -> SmolStr {
    SmolStr::new_static(M::NAME)
}
