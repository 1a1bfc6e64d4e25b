//! Subscribing and its end.

use std::future::IntoFuture;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use smol_str::SmolStr;

use super::Subscription;
use super::name::{Pattern, TopicNameError};
use super::topic::{channel_of, invalid, plain};
use crate::actor::Method;
use crate::engine::{SessionSubscription, Since};
use crate::error::CallError;
use crate::identity::{ActorId, ActorType};
use crate::reference::Origin;

/// A subscription that is made when it is awaited.
///
/// It is kept by the channel until it is ended, unless it is [`while_active`](Self::while_active). What it does stays done,
/// even if the turn that does it then fails.
#[must_use = "a subscription is made when it is awaited"]
pub struct Subscribe {
    whom: Whom,
    consumes: bool,
    priority: i32,
    while_active: bool,
}

impl Subscribe {
    pub(super) fn new<M: Method>(
        origin: Origin,
        pattern: Result<Pattern, TopicNameError>,
        consumes: bool,
    ) -> Self {
        Self { whom: Whom::new::<M>(origin, pattern), consumes, priority: 0, while_active: false }
    }

    /// Subscribes the actor with this key.
    pub fn actor(mut self, key: impl AsRef<str>) -> Self {
        self.whom.key = Some(key.as_ref().to_owned());
        self
    }

    /// Subscriptions to one topic with a higher priority get a message first; those of one priority get it together. A
    /// handler that returns [`Handled::Consumed`](super::Handled) keeps it from lower ones. Without this it is 0.
    ///
    /// Only for one topic: subscriptions with wildcards see everything, wait for nobody and consume nothing.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// The subscription ends with this activation of the actor: when it leaves memory, or its node ends. It is not stored,
    /// and each message comes at most once.
    pub fn while_active(mut self) -> Self {
        self.while_active = true;
        self
    }

    async fn make(self) -> Result<(), CallError> {
        let Self { whom, consumes, priority, while_active } = self;
        let refuse = |why: &str| Err(CallError::Invalid(why.into()));
        let pattern = whom.pattern.clone().map_err(invalid)?;
        let actor = whom.actor()?;
        let Whom { origin, key, method, arguments, .. } = whom;
        let subscription = Subscription { actor, method, arguments, priority, consumes };
        if priority != 0 && pattern.has_wildcards() {
            return refuse("a pattern with wildcards has no priority; subscribe to one topic, or drop it");
        }
        let channel = channel_of(&origin, &pattern);
        let pattern = pattern.as_str().to_owned();
        if !while_active {
            return channel.subscribe(pattern, subscription).await.map_err(plain);
        }
        let Origin::Turn(cx) = &origin else {
            return refuse("a program has no activation; subscribe in a turn, or without `while_active`");
        };
        if key.is_some() || priority != 0 {
            return refuse(
                "a subscription that ends with its activation is for the turn's own actor, and has no priority; drop \
                 `actor` and `priority`, or `while_active`",
            );
        }
        let session = SessionSubscription { pattern, subscription, since: Since::now(cx.shard()) };
        let begun = channel.join(session.clone());
        cx.engine().hold_session(cx.activation(), &session);
        begun.await.map_err(|error| {
            cx.engine().forget_session(&session);
            plain(error)
        })
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<(), CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.make().boxed()
    }
}

/// The end of a subscription, which comes when it is awaited.
#[must_use = "a subscription ends when this is awaited"]
pub struct Unsubscribe(Whom);

impl Unsubscribe {
    pub(super) fn new<M: Method>(origin: Origin, pattern: Result<Pattern, TopicNameError>) -> Self {
        Self(Whom::new::<M>(origin, pattern))
    }

    /// Ends the subscription of the actor with this key.
    pub fn actor(mut self, key: impl AsRef<str>) -> Self {
        self.0.key = Some(key.as_ref().to_owned());
        self
    }

    async fn make(self) -> Result<(), CallError> {
        let pattern = self.0.pattern.clone().map_err(invalid)?;
        let actor = self.0.actor()?;
        let Whom { origin, method, arguments, .. } = self.0;
        let subscription = Subscription { actor, method, arguments, priority: 0, consumes: false };
        let channel = channel_of(&origin, &pattern);
        let pattern = pattern.as_str().to_owned();
        let session = SessionSubscription { pattern, subscription, since: Since::LAST };
        if let Some(engine) = origin.engine() {
            engine.forget_session(&session);
        }
        channel.unsubscribe(session.pattern, session.subscription).await.map_err(plain)
    }
}

impl IntoFuture for Unsubscribe {
    type Output = Result<(), CallError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.make().boxed()
    }
}

/// Which method of which actor.
struct Whom {
    origin: Origin,
    pattern: Result<Pattern, TopicNameError>,
    actor_type: ActorType,
    key: Option<String>,
    method: SmolStr,
    arguments: Vec<SmolStr>,
}

impl Whom {
    fn new<M: Method>(origin: Origin, pattern: Result<Pattern, TopicNameError>) -> Self {
        Self {
            origin,
            pattern,
            actor_type: ActorType::of::<M::Actor>(),
            key: None,
            method: SmolStr::new_static(M::NAME),
            arguments: M::ARGUMENTS.iter().map(|name| SmolStr::new_static(name)).collect(),
        }
    }

    fn actor(&self) -> Result<ActorId, CallError> {
        let invalid = |what: String| CallError::Invalid(what);
        match (&self.key, &self.origin) {
            (Some(key), _) => {
                ActorId::new(self.actor_type.clone(), key).map_err(|error| invalid(error.to_string()))
            }
            (None, Origin::Turn(cx)) if cx.actor_id().actor_type == self.actor_type => {
                Ok(cx.actor_id().clone())
            }
            (None, Origin::Turn(cx)) => Err(invalid(format!(
                "{} cannot listen with a method of {}; name the actor that shall with `.actor(key)`",
                cx.actor_id(),
                self.actor_type
            ))),
            (None, Origin::Program(_) | Origin::Client(_) | Origin::Step(_)) => Err(invalid(
                "a program or a step is no actor that can listen; name the one that shall listen with `.actor(key)`".into(),
            )),
        }
    }
}
