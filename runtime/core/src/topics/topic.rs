//! What users call: a topic, from a program or a turn.

use std::marker::PhantomData;

use serde::Serialize;

use super::channel::ChannelRef;
use super::message::Body;
use super::name::{Pattern, TopicNameError};
use super::{Handler, Subscribe, Unsubscribe};
use crate::actor::Method;
use crate::codec::CodecError;
use crate::cx::Cx;
use crate::error::{AppError, CallError};
use crate::reference::{ActorRef, Call, Origin};

/// A topic of messages of type `T`, or a pattern of topics to subscribe to.
///
/// Making one does no I/O. A name that is none shows as an error of what is then done.
pub struct Topic<T> {
    origin: Origin,
    pattern: Result<Pattern, TopicNameError>,
    /// What publications add to the request context.
    request: Vec<(String, String)>,
    message: PhantomData<fn() -> T>,
}

impl<T> Topic<T> {
    /// A topic, as a program or a turn has it.
    pub fn new(origin: Origin, name: &str) -> Self {
        Self { origin, pattern: Pattern::new(name), request: Vec::new(), message: PhantomData }
    }

    /// Adds to the request context of what is then published: who listens, and all that is set in motion there, carries it.
    pub fn with_request(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.push((name.into(), value.into()));
        self
    }

    /// Subscribes an actor with one of its methods, such as `RoomRef::on_line`, which takes the message, or the name of the
    /// topic and the message. In a turn it is this actor unless [`Subscribe::actor`] says another. Done when it is awaited;
    /// doing it again changes what differs.
    pub fn subscribe<M: Method, Form, H: Handler<T, M, Form>>(&self, _handler: H) -> Subscribe {
        Subscribe::new::<M>(self.origin.clone(), self.pattern.clone(), H::CONSUMES)
    }

    /// Ends a subscription to this very pattern. It is no error if there is none.
    pub fn unsubscribe<M: Method, Form, H: Handler<T, M, Form>>(&self, _handler: H) -> Unsubscribe {
        Unsubscribe::new::<M>(self.origin.clone(), self.pattern.clone())
    }
}

impl<T: Serialize> Topic<T> {
    /// Publishes a message.
    ///
    /// In a `&mut self` turn of a durable type it is a reliable message to the channel: part of the turn's commit, and not
    /// published if the turn fails. Elsewhere it is a call, and published when this returns; a call that ran into its
    /// deadline may have been.
    ///
    /// # Errors
    /// `Invalid` if the topic is a pattern or no name, or the publication is too large for those who listen; otherwise as
    /// of a call.
    pub async fn publish(&self, message: &T) -> Result<(), CallError> {
        let call = self.carrying(self.prepare(message)?.publish(&self.origin));
        match &self.origin {
            Origin::Turn(cx) if cx.commits() => cx.reliable(call),
            _ => call.await.map_err(plain),
        }
    }

    /// Publishes a message without any promise: each listener gets it at most once, and nothing is stored. In a turn it
    /// leaves when the turn has ended well.
    ///
    /// # Errors
    /// `Invalid` if the topic is a pattern or no name.
    pub fn tell(&self, message: &T) -> Result<(), CallError> {
        self.carrying(self.prepare(message)?.announce(&self.origin)).tell()
    }

    fn carrying<M: Method>(&self, call: Call<M>) -> Call<M> {
        self.request.iter().fold(call, |call, (name, value)| call.with_request(name, value))
    }

    fn prepare(&self, message: &T) -> Result<Publication, CallError> {
        Publication::new(self.pattern.clone(), message)
    }
}

/// What is to be published, and to which topic.
pub(crate) struct Publication {
    topic: Pattern,
    body: Body,
}

impl Publication {
    /// # Errors
    /// `Invalid` if the topic is a pattern or no name, or the message cannot be encoded.
    fn new<T: Serialize>(topic: Result<Pattern, TopicNameError>, message: &T) -> Result<Self, CallError> {
        let topic = topic.and_then(Pattern::into_one).map_err(invalid)?;
        let body = Body::new(message).map_err(|error: CodecError| CallError::Invalid(error.to_string()))?;
        Ok(Self { topic, body })
    }

    /// The same for the name of a topic.
    pub(crate) fn of<T: Serialize>(topic: &str, message: &T) -> Result<Self, CallError> {
        Self::new(Pattern::new(topic), message)
    }

    /// The call that publishes it.
    pub(crate) fn publish(self, origin: &Origin) -> Call<impl Method<Reply = (), Error = AppError> + use<>> {
        channel_of(origin, &self.topic).publish(self.topic.as_str().to_owned(), self.body)
    }

    fn announce(self, origin: &Origin) -> Call<impl Method<Reply = (), Error = AppError> + use<>> {
        channel_of(origin, &self.topic).announce(self.topic.as_str().to_owned(), self.body)
    }
}

impl Cx {
    /// A topic of messages of type `T`, or a pattern of topics to subscribe to.
    pub fn topic<T>(&self, name: impl AsRef<str>) -> Topic<T> {
        Topic::new(Origin::Turn(self.clone()), name.as_ref())
    }
}

pub(super) fn channel_of(origin: &Origin, pattern: &Pattern) -> ChannelRef {
    ActorRef::new(origin.clone(), pattern.channel()).into()
}

pub(super) fn invalid(error: TopicNameError) -> CallError {
    CallError::Invalid(error.to_string())
}

/// What a channel refuses is the caller's mistake, and no application's error.
pub(super) fn plain(error: CallError<AppError>) -> CallError {
    error.map_app(|AppError { message }| CallError::Invalid(message))
}
