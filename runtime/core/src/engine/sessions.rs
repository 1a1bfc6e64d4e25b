//! Subscriptions that last as long as an activation. Nothing of them is stored.
//!
//! Both ends are here, in the memory of nodes. **The subscriber's node** holds each one with the activation that made it,
//! and renews it with the channel every [`RENEWED_EVERY`], for as long as that activation is in memory. **The channel's
//! node** has a lease of [`LEASE`] for it. So a subscription comes back by itself when the channel has moved, and ends by
//! itself when the subscriber's node does.
//!
//! A message comes as a call of [`SESSION`], which the subscriber's node turns into a message to the handler if the
//! activation that subscribed is still there. If not, nothing is activated: the channel is told to end the subscription.
//!
//! **Invariant**: what comes late from an activation that has gone changes nothing for one that has subscribed since. The
//! actor may be back, here or on another node, before its last node sees that it has left. So each subscription says
//! [`Since`] when it is one, and the channel passes over renewals and ends of one that is older than its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use tokio::time::Instant;

use super::Core;
use super::activation::AnyActivation;
use crate::call::{Call, CallContext, Chain, DEFAULT_DEADLINE};
use crate::codec::{CodecError, ContentType, Payload};
use crate::error::CallError;
use crate::identity::{ActorId, ActorType, CallId, Epoch};
use crate::request::RequestContext;
use crate::shard::OwnedShard;
use crate::topics::{Channel, MAX_SUBSCRIPTIONS, Subscription, channel, has_wildcards, matches};

/// What a channel calls to reach the activation that has subscribed, and no other.
pub(crate) const SESSION: &str = "@session";
/// How often a subscription is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// How long a channel keeps one that nobody renews.
const LEASE: Duration = Duration::from_secs(30);

/// A pattern, who listens to it, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionSubscription {
    pub(crate) pattern: String,
    pub(crate) subscription: Subscription,
    #[serde(default)]
    pub(crate) since: Since,
}

/// Where a subscription stands among those of its actor: later ones are greater, on whichever node they begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Since {
    epoch: Epoch,
    number: u64,
}

impl Since {
    /// No subscription begins later.
    pub(crate) const LAST: Self = Self { epoch: Epoch(u64::MAX), number: u64::MAX };

    /// For one that begins now, of an actor of this shard.
    pub(crate) fn now(shard: &OwnedShard) -> Self {
        Self { epoch: shard.epoch(), number: shard.next_number() }
    }
}

impl SessionSubscription {
    fn key(&self) -> HeldKey {
        let Subscription { actor, method, .. } = &self.subscription;
        (actor.clone(), self.pattern.clone(), method.clone())
    }
}

/// The arguments of [`SESSION`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SessionMessage {
    pub(crate) pattern: String,
    pub(crate) method: SmolStr,
    pub(crate) arguments: Payload,
    #[serde(default)]
    pub(crate) since: Since,
}

impl SessionMessage {
    pub(crate) fn encode(&self) -> Result<Payload, CodecError> {
        Payload::encode(ContentType::Msgpack, "a message to an activation", self)
    }
}

/// What a node knows of them.
#[derive(Default)]
pub(super) struct Sessions {
    held: Mutex<Held>,
    /// By channel.
    leases: Mutex<BTreeMap<SmolStr, Leases>>,
}

/// Subscriptions of activations here.
#[derive(Default)]
struct Held {
    by: BTreeMap<HeldKey, (Weak<dyn AnyActivation>, SessionSubscription)>,
    /// A task renews them.
    renewing: bool,
}

/// Actor, pattern and method.
type HeldKey = (ActorId, String, SmolStr);

/// Subscriptions to a channel that is here, by pattern and [`Subscription::id`].
#[derive(Default)]
struct Leases {
    topics: BTreeMap<String, BTreeMap<String, Lease>>,
    wildcards: BTreeMap<String, BTreeMap<String, Lease>>,
    count: u64,
}

struct Lease {
    subscription: Subscription,
    since: Since,
    until: Instant,
}

impl Leases {
    fn side(&mut self, pattern: &str) -> &mut BTreeMap<String, BTreeMap<String, Lease>> {
        if has_wildcards(pattern) { &mut self.wildcards } else { &mut self.topics }
    }

    fn has(&mut self, session: &SessionSubscription) -> bool {
        let of_pattern = self.side(&session.pattern).get(&session.pattern);
        of_pattern.is_some_and(|leases| leases.contains_key(&session.subscription.id()))
    }

    /// Begins it or makes it last longer, unless one that began later has taken its place.
    fn renew(&mut self, session: SessionSubscription, until: Instant) {
        let SessionSubscription { pattern, subscription, since } = session;
        let of_pattern = self.side(&pattern).entry(pattern).or_default();
        let id = subscription.id();
        if of_pattern.get(&id).is_some_and(|lease| lease.since > since) {
            return;
        }
        let before = of_pattern.insert(id, Lease { subscription, since, until });
        self.count += u64::from(before.is_none());
    }

    /// Ends it, unless one that began later has taken its place.
    fn release(&mut self, session: &SessionSubscription) {
        let side = self.side(&session.pattern);
        let Some(of_pattern) = side.get_mut(&session.pattern) else { return };
        let id = session.subscription.id();
        if of_pattern.get(&id).is_none_or(|lease| lease.since > session.since) {
            return;
        }
        of_pattern.remove(&id);
        if of_pattern.is_empty() {
            side.remove(&session.pattern);
        }
        self.count -= 1;
    }

    /// Drops what nobody has renewed.
    fn prune(&mut self, now: Instant) {
        let mut left = 0;
        for side in [&mut self.topics, &mut self.wildcards] {
            side.retain(|_, of_pattern| {
                of_pattern.retain(|_, lease| lease.until > now);
                left += of_pattern.len() as u64;
                !of_pattern.is_empty()
            });
        }
        self.count = left;
    }

    fn matching(&self, topic: &str, now: Instant) -> Vec<SessionSubscription> {
        let wildcards = self.wildcards.iter().filter(|(pattern, _)| matches(pattern, topic));
        let of_patterns = wildcards.chain(self.topics.get_key_value(topic));
        let leases =
            of_patterns.flat_map(|(pattern, leases)| leases.values().map(move |lease| (pattern, lease)));
        let valid = leases.filter(|(_, lease)| lease.until > now);
        let session = |(pattern, lease): (&String, &Lease)| SessionSubscription {
            pattern: pattern.clone(),
            subscription: lease.subscription.clone(),
            since: lease.since,
        };
        valid.map(session).collect()
    }
}

/// The channel's side. Its keys are channels.
impl Core {
    pub(crate) fn renew_session(&self, channel: &str, session: SessionSubscription) -> Result<(), String> {
        let now = self.env.now();
        let mut leases = self.sessions.leases.lock();
        let of_channel = leases.entry(channel.into()).or_default();
        if of_channel.count >= MAX_SUBSCRIPTIONS && !of_channel.has(&session) {
            of_channel.prune(now);
        }
        if of_channel.count >= MAX_SUBSCRIPTIONS && !of_channel.has(&session) {
            return Err(format!(
                "the channel {channel:?} has {MAX_SUBSCRIPTIONS} subscriptions of activations, and no room for another; \
                 use more channels"
            ));
        }
        of_channel.renew(session, now + LEASE);
        Ok(())
    }

    pub(crate) fn release_session(&self, channel: &str, session: &SessionSubscription) {
        if let Some(of_channel) = self.sessions.leases.lock().get_mut(channel) {
            of_channel.release(session);
        }
    }

    pub(crate) fn sessions_of(&self, channel: &str, topic: &str) -> Vec<SessionSubscription> {
        let leases = self.sessions.leases.lock();
        leases.get(channel).map(|leases| leases.matching(topic, self.env.now())).unwrap_or_default()
    }

    /// Drops what nobody has renewed.
    pub(super) fn prune_sessions(&self, now: Instant) {
        self.sessions.leases.lock().retain(|_, of_channel| {
            of_channel.prune(now);
            of_channel.count > 0
        });
    }
}

/// The subscriber's side.
impl Core {
    /// Renews the subscription from now on, for as long as the activation is in memory.
    pub(crate) fn hold_session(
        self: &Arc<Self>,
        activation: &Arc<dyn AnyActivation>,
        session: &SessionSubscription,
    ) {
        let mut held = self.sessions.held.lock();
        held.by.insert(session.key(), (Arc::downgrade(activation), session.clone()));
        if !std::mem::replace(&mut held.renewing, true) {
            self.env.spawn(Box::pin(renew_all(Arc::downgrade(self))));
        }
    }

    pub(crate) fn forget_session(&self, session: &SessionSubscription) {
        self.sessions.held.lock().by.remove(&session.key());
    }

    /// Hands a message to the activation that has subscribed.
    pub(super) fn deliver_to_session(self: &Arc<Self>, call: Call) {
        let message = match call.arguments.decode::<SessionMessage>("a message to an activation") {
            Ok(message) => message,
            Err(error) => return self.undelivered(&call, &CallError::Invalid(error.to_string())),
        };
        let SessionMessage { pattern, method, arguments, since } = message;
        let key = (call.target.clone(), pattern.clone(), method.clone());
        let held = self.sessions.held.lock().by.get(&key).map(|(activation, _)| activation.clone());
        if held.is_some_and(|activation| self.is_in_memory(&call.target, &activation)) {
            let transport = self.transport();
            if let (Err(call), Some(transport)) = (self.tell(Call { method, arguments, ..call }), transport) {
                transport.tell(*call);
            }
            return;
        }
        let actor = call.target;
        let subscription =
            Subscription { actor, method, arguments: Vec::new(), priority: 0, consumes: false };
        self.end_session(&SessionSubscription { pattern, subscription, since });
    }

    /// Ends a subscription whose activation has gone. If the actor has come back and listens again, that stays.
    fn end_session(&self, session: &SessionSubscription) {
        {
            let mut held = self.sessions.held.lock();
            let activation = held.by.get(&session.key()).map(|(activation, _)| activation);
            if activation.is_some_and(|activation| self.is_in_memory(&session.subscription.actor, activation))
            {
                return;
            }
            held.by.remove(&session.key());
        }
        self.tell_channel(&session.pattern, "leave", &Leave { session });
    }

    fn is_in_memory(&self, actor: &ActorId, activation: &Weak<dyn AnyActivation>) -> bool {
        let Some(activation) = activation.upgrade() else { return false };
        let current = self.directory.get(actor);
        !activation.is_gone() && current.is_some_and(|current| Arc::ptr_eq(&current, &activation))
    }

    /// Renews what is in use and ends the rest; false if nothing is left to renew.
    fn renew_held(self: &Arc<Self>) -> bool {
        let all: Vec<_> = self.sessions.held.lock().by.values().cloned().collect();
        let mut renewed: BTreeMap<String, Vec<SessionSubscription>> = BTreeMap::new();
        for (activation, session) in all {
            if self.is_in_memory(&session.subscription.actor, &activation) {
                renewed.entry(channel(&session.pattern).to_owned()).or_default().push(session);
            } else {
                self.end_session(&session);
            }
        }
        for (channel, sessions) in renewed {
            self.tell_channel(&channel, "renew", &Renew { sessions });
        }
        let mut held = self.sessions.held.lock();
        held.renewing = !held.by.is_empty();
        held.renewing
    }

    fn tell_channel<T: Serialize>(&self, topic: &str, method: &'static str, arguments: &T) {
        let Some(transport) = self.transport() else { return };
        let target = ActorId::new(ActorType::of::<Channel>(), channel(topic));
        let arguments = Payload::encode(ContentType::Msgpack, "the arguments", arguments);
        let (Ok(target), Ok(arguments)) = (target, arguments) else { return };
        let context = CallContext {
            id: CallId(self.env.random()),
            deadline: self.env.now() + DEFAULT_DEADLINE,
            chain: Chain::default(),
            request: RequestContext::default(),
        };
        transport.tell(Call { target, method: method.into(), arguments, context, delivery: None });
    }
}

/// The arguments of `greenroom.Topic.renew`.
#[derive(Serialize)]
struct Renew {
    sessions: Vec<SessionSubscription>,
}

/// The arguments of `greenroom.Topic.leave`.
#[derive(Serialize)]
struct Leave<'a> {
    session: &'a SessionSubscription,
}

async fn renew_all(engine: Weak<Core>) {
    loop {
        tokio::time::sleep(RENEWED_EVERY).await;
        let Some(engine) = engine.upgrade() else { return };
        if !engine.renew_held() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_from_an_earlier_activation_changes_nothing() {
        let session = |epoch, number| {
            let (actor, method) = ("Member/anna".parse().unwrap(), "hear".into());
            let subscription =
                Subscription { actor, method, arguments: Vec::new(), priority: 0, consumes: false };
            let since = Since { epoch: Epoch(epoch), number };
            SessionSubscription { pattern: "chat/*".into(), subscription, since }
        };
        let (now, mut leases) = (Instant::now(), Leases::default());
        let [earlier, on_this_node, later] = [session(1, 7), session(1, 8), session(2, 0)];
        for newer in [on_this_node, later] {
            leases.renew(earlier.clone(), now + LEASE);
            leases.renew(newer.clone(), now + LEASE);
            leases.release(&earlier);
            leases.renew(earlier.clone(), now + LEASE * 2);
            leases.release(&earlier);
            assert_eq!(leases.matching("chat/lobby", now), std::slice::from_ref(&newer));
            assert!(leases.matching("chat/lobby", now + LEASE).is_empty());
            leases.release(&newer);
            assert!(leases.matching("chat/lobby", now).is_empty() && leases.count == 0);
        }
    }
}
