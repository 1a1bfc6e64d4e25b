//! How turns and programs send messages: calls whose reply nobody waits for.

use std::time::Duration;

use smol_str::SmolStr;

use crate::actor::Method;
use crate::call::{Call as WireCall, CallContext, Chain, DEFAULT_DEADLINE};
use crate::cx::Cx;
use crate::engine::{Core, IN_ORDER, Message, Outgoing, Place};
use crate::error::CallError;
use crate::filter::{Passed, Way};
use crate::identity::ActorId;
use crate::reference::{Call, MOVED_AWAY, Origin, Prepared, encode};

impl Cx {
    /// Sends a message: makes the call when this turn has ended well, without waiting for its reply.
    ///
    /// The message leaves when the turn is committed, and not at all if the turn fails. It is delivered at most once:
    /// a crash of either node may lose it. What this actor tells another arrives in the order of its turns, and before
    /// what later turns call. The message has 10 seconds, from when it leaves, to be applied; one that nobody takes is
    /// counted and becomes a dead letter.
    ///
    /// # Errors
    /// `Invalid` if the key of the target is none; what an outgoing filter says.
    pub fn tell<M: Method>(&self, call: Call<M>) -> Result<(), CallError> {
        self.send_at_end(Box::new(Letter::new(call)?));
        Ok(())
    }
}

impl Cx {
    /// Sends a reliable message: part of this turn's commit, and applied exactly once.
    ///
    /// The message is stored with the turn, and is there if and only if the turn is committed. It is then sent until its
    /// target has applied it, over crashes, moves and outages of any length. Messages of this actor to one target are
    /// applied in their order. A target that refuses a message (an error of the application, a panic, no such method)
    /// is asked again some times; then the message becomes a dead letter, and the next one goes on.
    ///
    /// Exactly once holds for `&mut self` methods of durable types. Others cannot keep what they have applied: there it
    /// is at least once.
    ///
    /// # Errors
    /// `Invalid` if this turn has no commit (a `&self` method, or a volatile type), or the key of the target is none; what
    /// an outgoing filter says.
    pub fn reliable<M: Method>(&self, call: Call<M>) -> Result<(), CallError> {
        let message = self.message(call)?;
        let (epoch, number) = (self.shard().epoch(), self.shard().next_number());
        self.change_row(message.row(self.actor_id(), Place::Numbered { lane: IN_ORDER, epoch, number }));
        Ok(())
    }

    /// The same, but not before `delay` has passed. Messages with a delay are applied in the order in which they are due,
    /// and in no order with those without.
    ///
    /// # Errors
    /// As [`reliable`](Self::reliable).
    pub fn reliable_after<M: Method>(&self, delay: Duration, call: Call<M>) -> Result<(), CallError> {
        let message = self.message(call)?;
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let place =
            Place::Delayed { due: self.engine().env().unix_ms().saturating_add(delay), id: message.id };
        self.change_row(message.row(self.actor_id(), place));
        Ok(())
    }

    fn message<M: Method>(&self, call: Call<M>) -> Result<Message, CallError> {
        if !self.commits() {
            return Err(CallError::Invalid(
                "only a turn with a commit can send reliably; use a `&mut self` method of a durable type, or `cx.tell`"
                    .into(),
            ));
        }
        let cannot_encode = |_| CallError::Invalid("the arguments cannot be encoded".into());
        let mut call = call.into_encoded().map_err(|error| error.map_app(cannot_encode))?;
        self.engine().outgoing().hand_over(&mut call, Way::Reliable)?;
        Ok(call.into())
    }
}

impl<M: Method> Call<M> {
    /// Makes the call without waiting for its reply. In a turn it is [`Cx::tell`]; in a program the call starts at once.
    ///
    /// What a program tells one actor is taken in that order, and before what it then calls. A message that nobody
    /// takes within the call's deadline is counted and becomes a dead letter.
    ///
    /// # Errors
    /// `Invalid` if the key of the target is none; what an outgoing filter says.
    pub fn tell(self) -> Result<(), CallError> {
        let mut call = self.into_prepared();
        match call.head.origin.turn().cloned() {
            Some(turn) => turn.send_at_end(Box::new(Letter::of(call)?)),
            None if call.tell_now() => {}
            None => Letter::of(call)?.send_now(),
        }
        Ok(())
    }
}

/// A message of a turn that has not left yet.
struct Letter<M: Method> {
    origin: Origin,
    target: ActorId,
    context: CallContext,
    arguments: M::Arguments,
    passed: Option<Box<Passed>>,
}

impl<M: Method> Letter<M> {
    fn new(call: Call<M>) -> Result<Self, CallError> {
        Self::of(call.into_prepared())
    }

    fn of(call: Prepared<M>) -> Result<Self, CallError> {
        let mut context = call.head.checked_context()?;
        let target = call.target()?;
        let arguments = call.arguments.expect("a call that has not begun has its arguments");
        let origin = call.head.origin;
        let passed = match origin.outgoing() {
            Some(filters) => filters.pass(&target, &method::<M>(), Way::Tell, &mut context)?,
            None => None,
        };
        Ok(Self { origin, target, context, arguments, passed })
    }
}

impl<M: Method> Letter<M> {
    fn send_now(self) {
        send::<M>(&self.origin, self.target, self.context, self.arguments);
        handed_over(self.passed);
    }
}

impl<M: Method> Outgoing for Letter<M> {
    fn send(self: Box<Self>) {
        let Self { origin, target, mut context, arguments, passed } = *self;
        // Nobody waits for it: it has its own time, and no call waits for the turn that it starts.
        context.deadline = origin.env().now() + DEFAULT_DEADLINE;
        context.chain = Chain::default();
        send::<M>(&origin, target, context, arguments);
        handed_over(passed);
    }

    fn give_up(self: Box<Self>, engine: &Core) {
        let error = CallError::Unavailable(MOVED_AWAY.into());
        if let Some(passed) = self.passed {
            passed.ended(&Err::<(), _>(error.clone()));
        }
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
            return transport.tell(WireCall {
                target,
                method: method::<M>(),
                arguments,
                context,
                delivery: None,
            });
        }
        (Ok(_), None) => CallError::Unavailable("the node is stopping".into()),
        (Err(error), _) => error.map_app(|_| CallError::Invalid("the arguments cannot be encoded".into())),
    };
    match origin.engine() {
        Some(engine) => engine.dead_letters().told(engine.env().unix_ms(), target, method::<M>(), &error),
        None => tracing::warn!(%target, method = M::NAME, %error, "a message was told and nobody took it"),
    }
}

fn handed_over(passed: Option<Box<Passed>>) {
    if let Some(passed) = passed {
        passed.handed_over();
    }
}

fn method<M: Method>() -> SmolStr {
    SmolStr::new_static(M::NAME)
}
