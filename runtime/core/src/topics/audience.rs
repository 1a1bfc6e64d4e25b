//! Whom a publication reaches, and how it is sent there.

use smol_str::SmolStr;

use super::channel::Channel;
use super::message::Body;
use super::name::matches;
use super::{Courier, MAX_AUDIENCE, MAX_PUBLICATION_BYTES, Subscription};
use crate::call::{Call, CallContext, Chain, DEFAULT_DEADLINE};
use crate::codec::Payload;
use crate::cx::Cx;
use crate::engine::{Core, IN_ORDER, Message, Outgoing, Place, SESSION, SessionMessage, SessionSubscription};
use crate::error::{AppError, CallError, Result};
use crate::identity::ActorId;
use crate::reference::MOVED_AWAY;

/// Everybody who gets a publication.
#[derive(Default)]
pub(super) struct Audience {
    /// Each by itself.
    each: Vec<Subscription>,
    /// One group after the other, if the topic has priorities: highest first.
    groups: Vec<Vec<Subscription>>,
    /// Those whose subscriptions last as long as an activation.
    sessions: Vec<SessionSubscription>,
}

impl Channel {
    pub(super) async fn audience(&self, cx: &Cx, topic: &str) -> Result<Audience> {
        let mut audience = Audience::default();
        for pattern in self.wildcard_patterns().filter(|pattern| matches(pattern, topic)) {
            audience.each.extend(self.listeners(cx, pattern).await?.iter().cloned());
        }
        audience.each.extend(cx.engine().type_subscriptions(topic));
        let exact = self.listeners(cx, topic).await?;
        let count = audience.each.len() + exact.len();
        if count > MAX_AUDIENCE {
            return Err(AppError::new(format!(
                "more than {MAX_AUDIENCE} subscriptions match {topic:?}; spread them over topics, or pass messages on in \
                 the actors that listen"
            )));
        }
        match exact.iter().any(|listener| listener.priority != 0) {
            true => audience.groups = groups(&exact),
            false => audience.each.extend(exact.iter().cloned()),
        }
        audience.sessions = cx.engine().sessions_of(cx.key(), topic);
        Ok(audience)
    }
}

/// By priority, highest first.
fn groups(listeners: &[Subscription]) -> Vec<Vec<Subscription>> {
    let mut sorted = listeners.to_vec();
    sorted.sort_by_key(|listener| std::cmp::Reverse(listener.priority));
    sorted.chunk_by(|a, b| a.priority == b.priority).map(<[_]>::to_vec).collect()
}

impl Audience {
    /// With this turn's commit; who listens for as long as an activation is told.
    pub(super) fn send_reliably(self, cx: &Cx, topic: &str, message: &Body) -> Result<()> {
        let bytes = message.bytes().saturating_mul(self.each.len());
        if bytes > MAX_PUBLICATION_BYTES {
            return Err(AppError::new(format!(
                "the publication takes {bytes} bytes for {} listeners, at most {MAX_PUBLICATION_BYTES} are allowed; \
                 publish where to find what is large",
                self.each.len()
            )));
        }
        if !self.groups.is_empty() {
            let courier = cx.actor::<Courier>(topic);
            cx.reliable(courier.deliver(topic.to_owned(), message.clone(), self.groups))?;
        }
        for Subscription { actor, method, arguments, .. } in self.each {
            let arguments = message.arguments(&arguments, topic);
            send_reliably(cx, delivery(cx, topic, actor, method, arguments)?);
        }
        tell_sessions(cx, self.sessions, topic, message)
    }

    /// Everybody is told.
    pub(super) fn tell(self, cx: &Cx, topic: &str, message: &Body) -> Result<()> {
        if !self.groups.is_empty() {
            let courier = cx.actor::<Courier>(topic);
            cx.tell(courier.deliver(topic.to_owned(), message.clone(), self.groups))?;
        }
        for Subscription { actor, method, arguments, .. } in self.each {
            let arguments = message.arguments(&arguments, topic);
            tell(cx, delivery(cx, topic, actor, method, arguments)?);
        }
        tell_sessions(cx, self.sessions, topic, message)
    }
}

fn tell_sessions(cx: &Cx, sessions: Vec<SessionSubscription>, topic: &str, message: &Body) -> Result<()> {
    for SessionSubscription { pattern, subscription, since } in sessions {
        let Subscription { actor, method, arguments, .. } = subscription;
        let arguments = message.arguments(&arguments, topic);
        let arguments = SessionMessage { pattern, method, arguments, since }.encode()?;
        tell(cx, delivery(cx, topic, actor, SESSION.into(), arguments)?);
    }
    Ok(())
}

/// What brings a publication to one who listens.
pub(super) fn delivery(
    cx: &Cx,
    topic: &str,
    target: ActorId,
    method: SmolStr,
    arguments: Payload,
) -> Result<Message> {
    let mut request = cx.request_context();
    request.set_topic(topic)?;
    Ok(Message { target, method, arguments, id: cx.next_call_id(), request })
}

/// A reliable message of a turn that commits.
pub(super) fn send_reliably(cx: &Cx, message: Message) {
    let (epoch, number) = (cx.shard().epoch(), cx.shard().next_number());
    cx.change_row(message.row(cx.actor_id(), Place::Numbered { lane: IN_ORDER, epoch, number }));
}

/// Tells a message when this turn has ended well.
fn tell(cx: &Cx, Message { target, method, arguments, id, request }: Message) {
    let context = CallContext { id, deadline: cx.deadline(), chain: Chain::default(), request };
    let call = Call { target, method, arguments, context, delivery: None };
    cx.send_at_end(Box::new(Told { engine: cx.engine().clone(), call }));
}

/// An encoded message that a turn has told.
struct Told {
    engine: std::sync::Arc<Core>,
    call: Call,
}

impl Outgoing for Told {
    fn send(self: Box<Self>) {
        let Self { engine, mut call } = *self;
        // It has its own time from when it leaves.
        call.context.deadline = engine.env().now() + DEFAULT_DEADLINE;
        match engine.transport() {
            Some(transport) => transport.tell(call),
            None => engine.undelivered(&call, &CallError::Unavailable("the node is stopping".into())),
        }
    }

    fn give_up(self: Box<Self>, engine: &Core) {
        engine.undelivered(&self.call, &CallError::<Payload>::Unavailable(MOVED_AWAY.into()));
    }
}
