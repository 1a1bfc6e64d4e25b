//! Typed references, and the call that a method of a reference makes.

use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use smol_str::SmolStr;
use tokio::time::Instant;

use crate::actor::{Actor, Method};
use crate::call::{Call as WireCall, CallContext, Chain, DEFAULT_DEADLINE};
use crate::codec::{ContentType, Payload};
use crate::cx::Cx;
use crate::engine::{Awaited, Begun, Core, Handed, Local, Waiting};
use crate::env::SharedEnv;
use crate::error::CallError;
use crate::filter::{Filters, Way};
use crate::identity::{ActorId, CallId};
use crate::program::ProgramId;
use crate::request::{RequestContext, TooLarge};
use crate::transport::SharedTransport;
use crate::workflow::Step;

/// Who makes the calls of a reference.
pub enum Origin {
    /// The program around a node.
    Program(ProgramId),
    /// A program without one: what it calls through.
    Client(SharedTransport),
    /// A turn of an actor.
    Turn(Cx),
    /// A step of a workflow.
    Step(Step),
}

impl Clone for Origin {
    // A program has one made for each of its calls, and mostly nothing else.
    #[inline]
    fn clone(&self) -> Self {
        match self {
            Self::Program(program) => Self::Program(*program),
            counted => counted.counted_once_more(),
        }
    }
}

impl Origin {
    #[inline(never)]
    fn counted_once_more(&self) -> Self {
        match self {
            Self::Program(program) => Self::Program(*program),
            Self::Client(transport) => Self::Client(transport.clone()),
            Self::Turn(cx) => Self::Turn(cx.clone()),
            Self::Step(step) => Self::Step(step.clone()),
        }
    }

    /// A program that calls through this transport.
    pub fn program(transport: SharedTransport) -> Self {
        Self::Client(transport)
    }

    /// The engine of this process, if there is one.
    pub(crate) fn engine(&self) -> Option<Arc<Core>> {
        match self {
            Self::Program(program) => program.engine(),
            origin => origin.with_engine(|engine| engine.cloned()),
        }
    }

    /// Does this with the engine of this process, if there is one: counts no reference to it.
    pub(crate) fn with_engine<T>(&self, work: impl FnOnce(Option<&Arc<Core>>) -> T) -> T {
        match self {
            Self::Program(program) => program.with_engine(work),
            Self::Client(transport) => work(transport.engine().map(|engine| &***engine)),
            Self::Turn(cx) => work(Some(cx.engine())),
            Self::Step(step) => work(Some(step.engine())),
        }
    }

    /// What is around all that is sent from here.
    pub(crate) fn outgoing(&self) -> Option<Filters> {
        match self {
            Self::Program(program) => program.transport()?.outgoing().cloned(),
            Self::Client(transport) => transport.outgoing().cloned(),
            Self::Turn(cx) => Some(cx.engine().outgoing().clone()),
            Self::Step(step) => Some(step.engine().outgoing().clone()),
        }
    }

    /// What calls carry that are made from here.
    fn request_context(&self) -> RequestContext {
        match self {
            Self::Program(_) | Self::Client(_) => RequestContext::default(),
            Self::Turn(cx) => cx.request_context(),
            Self::Step(step) => step.request_context(),
        }
    }

    pub(crate) fn turn(&self) -> Option<&Cx> {
        match self {
            Self::Turn(cx) => Some(cx),
            _ => None,
        }
    }

    /// The place of the next call among those of the turn or the step.
    fn next_ordinal(&self) -> u64 {
        match self {
            Self::Program(_) | Self::Client(_) => 0,
            Self::Turn(cx) => cx.next_ordinal(),
            Self::Step(step) => step.next_ordinal(),
        }
    }

    pub(crate) fn env(&self) -> &SharedEnv {
        match self {
            Self::Program(program) => program.env(),
            Self::Client(transport) => transport.env(),
            Self::Turn(cx) => cx.engine().env(),
            Self::Step(step) => step.engine().env(),
        }
    }

    pub(crate) fn transport(&self) -> Option<SharedTransport> {
        match self {
            Self::Program(program) => program.transport(),
            Self::Client(transport) => Some(transport.clone()),
            Self::Turn(cx) => cx.engine().transport(),
            Self::Step(step) => step.engine().transport(),
        }
    }
}

/// A reference to an actor by its identity; the generated `…Ref` types wrap it. Making one does no I/O: the actor is
/// loaded when it is first called. A key that is not valid shows as an error of each call.
pub struct ActorRef<A> {
    origin: Origin,
    key: SmolStr,
    actor: PhantomData<fn() -> A>,
}

impl<A> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self { origin: self.origin.clone(), key: self.key.clone(), actor: PhantomData }
    }
}

impl<A: Actor> ActorRef<A> {
    /// A reference to the actor with this key.
    #[inline]
    pub fn new(origin: Origin, key: &str) -> Self {
        Self { origin, key: key.into(), actor: PhantomData }
    }

    /// A call of the method `M`; it starts when it is awaited.
    #[inline]
    pub fn call<M: Method<Actor = A>>(&self, arguments: M::Arguments) -> Call<M> {
        let head = Head {
            ordinal: self.origin.next_ordinal(),
            origin: self.origin.clone(),
            key: self.key.clone(),
            deadline: None,
            chosen: None,
        };
        Call(State::Prepared(Prepared { head, arguments: Some(arguments) }))
    }
}

/// A call that starts when it is awaited. Dropping it while it runs cancels the turn, which is then rolled back.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<M: Method>(State<M>);

enum State<M: Method> {
    Prepared(Prepared<M>),
    /// In its actor's mailbox. What is left of the call goes the long way if it leaves that without a turn.
    Waiting(Head, Waiting<M>),
    Running(BoxFuture<'static, Outcome<M>>),
    Done,
}

type Outcome<M> = Result<<M as Method>::Reply, CallError<<M as Method>::Error>>;

pub(crate) struct Prepared<M: Method> {
    pub(crate) head: Head,
    /// There until the call begins.
    pub(crate) arguments: Option<M::Arguments>,
}

/// All of a call but its arguments.
///
/// A call is moved right after it was made. In this order no move takes a part of the key together with something that
/// was written by itself: the processor would have to wait until both have reached memory.
#[repr(C)]
pub(crate) struct Head {
    pub(crate) origin: Origin,
    /// Whether it is valid is looked at when the call begins: a key that is not is nobody's.
    pub(crate) key: SmolStr,
    /// The place among the calls of the turn that makes it. It is given when the call is made, not when it is polled, so
    /// that a repeated turn gives the same calls the same ids.
    ordinal: u64,
    /// What few calls have, in a box: a call is moved some times before it begins.
    chosen: Option<Box<Chosen>>,
    /// If the caller chose one.
    deadline: Option<Instant>,
}

/// What a caller may choose besides the deadline.
#[derive(Default)]
struct Chosen {
    id: Option<CallId>,
    /// The turn that makes the call lends its state meanwhile.
    lends: bool,
    /// What the caller adds to the request context, or why it cannot.
    request: Option<Result<RequestContext, TooLarge>>,
}

// The pieces are only moved, never pinned in place: the running future has a box of its own.
impl<M: Method> Unpin for Call<M> {}

impl<M: Method> Call<M> {
    /// Waits at most this long; inside a turn never longer than the turn's own caller waits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let State::Prepared(call) = &mut self.0 {
            let head = &mut call.head;
            let deadline = head.origin.env().now() + timeout;
            let turn_ends = head.origin.turn().map(Cx::deadline);
            head.deadline = Some(turn_ends.map_or(deadline, |ends| deadline.min(ends)));
        }
        self
    }

    /// Gives the call this id: whoever calls again with it gets the stored reply, and the call is applied once.
    pub fn call_id(mut self, id: CallId) -> Self {
        if let State::Prepared(call) = &mut self.0 {
            call.head.chosen.get_or_insert_default().id = Some(id);
        }
        self
    }
}

impl<M: Method> Call<M> {
    /// Adds to the request context: for this call and for all that are made from it, wherever they go. A context of more
    /// than 4 KiB makes the call `Invalid`.
    pub fn with_request(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let State::Prepared(call) = &mut self.0 {
            let head = &mut call.head;
            let inherited = || head.origin.request_context();
            let chosen = head.chosen.get_or_insert_default();
            let request = chosen.request.get_or_insert_with(|| Ok(inherited()));
            if let Ok(context) = request
                && let Err(error) = context.set(name, value)
            {
                *request = Err(error);
            }
        }
        self
    }
}

impl<M: Method> Call<M> {
    /// What the consumer of a stream needs that this call opens: its way to the actor.
    pub(crate) fn consumer(&self) -> Option<(SharedTransport, ActorId)> {
        let State::Prepared(call) = &self.0 else { return None };
        Some((call.head.origin.transport()?, call.target::<()>().ok()?))
    }

    /// Marks the call as the one for which its turn lends its state. The place of the call among those of the turn; `None`
    /// if it has begun.
    pub(crate) fn lend(&mut self) -> Option<u64> {
        let State::Prepared(call) = &mut self.0 else { return None };
        call.head.chosen.get_or_insert_default().lends = true;
        Some(call.head.ordinal)
    }

    /// The call as it was made, instead of starting it.
    pub(crate) fn into_prepared(self) -> Prepared<M> {
        let State::Prepared(call) = self.0 else { panic!("a call was sent after it had begun") };
        call
    }

    /// The call in its encoded form instead of starting it: for those who store it or send it in another way.
    pub(crate) fn into_encoded(self) -> Result<WireCall, CallError<M::Error>> {
        let call = self.into_prepared();
        let context = call.head.checked_context()?;
        let target = call.target()?;
        let arguments = encode::<M>(call.arguments.as_ref().expect(ARGUMENTS))?;
        let method = SmolStr::new_static(M::NAME);
        Ok(WireCall { target, method, arguments, context, delivery: None })
    }
}

/// Why a call that has not begun has its arguments.
const ARGUMENTS: &str = "the arguments leave a call when it begins";

// Kept out of the way of calls that end at once: their stack would have room for these futures.
impl<M: Method> Call<M> {
    #[inline(never)]
    fn go_the_long_way(&mut self, arguments: M::Arguments) {
        let head = match std::mem::replace(&mut self.0, State::Done) {
            State::Prepared(call) => call.head,
            State::Waiting(head, _) => head,
            State::Running(_) | State::Done => unreachable!("it is on its way, or at its end"),
        };
        self.0 = State::Running(Box::pin(Prepared::<M>::run(head, arguments)));
    }

    #[inline(never)]
    fn wait_in_mailbox(&mut self, deadline: Instant, waiting: Waiting<M>) {
        if let State::Prepared(mut call) = std::mem::replace(&mut self.0, State::Done) {
            call.head.deadline = Some(deadline);
            self.0 = State::Waiting(call.head, waiting);
        }
    }

    #[inline(never)]
    fn poll_later(&mut self, task: &mut Context<'_>) -> Poll<Outcome<M>> {
        if let State::Waiting(_, waiting) = &mut self.0 {
            match ready!(waiting.poll(task)) {
                Handed::Done(outcome) => {
                    self.0 = State::Done;
                    return Poll::Ready(outcome);
                }
                Handed::NotNow(arguments) => self.go_the_long_way(arguments),
            }
        }
        let State::Running(running) = &mut self.0 else { panic!("a call was polled after its reply") };
        let outcome = ready!(running.as_mut().poll(task));
        self.0 = State::Done;
        Poll::Ready(outcome)
    }
}

impl<M: Method> Future for Call<M> {
    type Output = Outcome<M>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Prepared(call) = &mut self.0 {
            match call.begin(task) {
                Begun::Done(outcome) => {
                    self.0 = State::Done;
                    return Poll::Ready(outcome);
                }
                Begun::Suspended(end) => self.0 = State::Running(end),
                Begun::Waiting(deadline, waiting) => self.wait_in_mailbox(deadline, waiting),
                Begun::NotNow(arguments) => self.go_the_long_way(arguments),
            }
        }
        self.poll_later(task)
    }
}

impl Head {
    /// Who is called.
    fn target<A: Actor, E>(&self) -> Result<ActorId, CallError<E>> {
        ActorId::of::<A>(&self.key).map_err(|error| CallError::Invalid(error.to_string()))
    }

    fn id(&self) -> Option<CallId> {
        self.chosen.as_ref()?.id
    }

    /// What stands for the window that the turn has open for this call.
    fn window(&self) -> Option<u64> {
        self.chosen.as_ref().filter(|chosen| chosen.lends).map(|_| self.ordinal)
    }

    /// What the caller adds to the request context, or why it cannot.
    pub(crate) fn request(&self) -> Option<&Result<RequestContext, TooLarge>> {
        self.chosen.as_ref()?.request.as_ref()
    }

    /// What travels with the call.
    pub(crate) fn context(&self) -> CallContext {
        let mut context = match &self.origin {
            Origin::Turn(cx) => cx.context_of_call(self.ordinal, self.window()),
            origin => CallContext {
                id: self.id().unwrap_or_else(|| match origin {
                    Origin::Step(step) => step.id().child(self.ordinal),
                    _ => CallId(origin.env().random()),
                }),
                deadline: self.deadline.unwrap_or_else(|| origin.env().now() + DEFAULT_DEADLINE),
                chain: Chain::default(),
                request: origin.request_context(),
            },
        };
        if let Some(Ok(request)) = self.request() {
            context.request = request.clone();
        }
        context.id = self.id().unwrap_or(context.id);
        context.deadline = self.deadline.unwrap_or(context.deadline);
        context
    }
}

impl Head {
    /// What travels with the call, unless its request context takes too much.
    pub(crate) fn checked_context<E>(&self) -> Result<CallContext, CallError<E>> {
        match self.request() {
            Some(Err(error)) => Err(CallError::Invalid(error.to_string())),
            _ => Ok(self.context()),
        }
    }
}

impl<M: Method> Prepared<M> {
    /// Who is called.
    pub(crate) fn target<E>(&self) -> Result<ActorId, CallError<E>> {
        self.head.target::<M::Actor, _>()
    }

    /// Runs the turn of a program's message if that can be done now, else keeps it.
    pub(crate) fn tell_now(&mut self) -> bool {
        let head = &self.head;
        let Some(arguments) = self.arguments.take() else { return false };
        self.arguments = head.origin.with_engine(|engine| match engine {
            Some(engine) if head.request().is_none() => {
                engine.tell_now::<M>(&head.key, || head.context(), arguments)
            }
            _ => Some(arguments),
        });
        self.arguments.is_none()
    }

    /// Runs the turn at once if it can. The call itself stays where it is: it is large, and moving it costs.
    fn begin(&mut self, task: &mut Context<'_>) -> Begun<M> {
        let head = &self.head;
        let arguments = self.arguments.take().expect(ARGUMENTS);
        head.origin.with_engine(|engine| match engine {
            Some(engine) if head.request().is_none() => {
                engine.begin::<M>(head.origin.turn(), &head.key, || head.context(), arguments, task)
            }
            _ => Begun::NotNow(arguments),
        })
    }

    async fn run(head: Head, arguments: M::Arguments) -> Outcome<M> {
        let mut context = head.checked_context()?;
        let target = head.target::<M::Actor, _>()?;
        let Head { origin, .. } = head;
        let passed = match origin.outgoing() {
            Some(filters) => filters.pass(&target, &SmolStr::new_static(M::NAME), Way::Call, &mut context)?,
            None => None,
        };
        let outcome = match origin.turn().cloned() {
            None => Self::send(origin, target, context, arguments).await,
            Some(turn) => {
                let (call, callee) = (context.id, target.clone());
                let mut sent = pin!(Self::send(origin, target, context, arguments));
                match poll_fn(|task| Poll::Ready(sent.as_mut().poll(task))).await {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => {
                        let _awaited = Awaited::note(&turn, call, callee);
                        sent.await
                    }
                }
            }
        };
        if let Some(passed) = passed {
            passed.ended(&outcome);
        }
        outcome
    }

    async fn send(
        origin: Origin,
        target: ActorId,
        context: CallContext,
        arguments: M::Arguments,
    ) -> Outcome<M> {
        if let Some(turn) = origin.turn() {
            turn.output_gate().await.map_err(|_| CallError::Unavailable(MOVED_AWAY.into()))?;
            turn.earlier_messages().await;
        }
        let (context, arguments, begun) = match origin.engine() {
            Some(engine) => match engine.call_local::<M>(&target, context, arguments).await {
                Local::Done(outcome) => return outcome,
                Local::Elsewhere(context, arguments) => (context, encode::<M>(&arguments)?, false),
                Local::Moved(context, arguments) => (context, arguments, true),
            },
            None => (context, encode::<M>(&arguments)?, false),
        };
        let Some(transport) = origin.transport() else {
            return Err(CallError::Unavailable(
                "the node is stopping; repeat the call with the same id".into(),
            ));
        };
        let call =
            WireCall { target, method: SmolStr::new_static(M::NAME), arguments, context, delivery: None };
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
