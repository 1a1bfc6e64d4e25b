//! Which methods can listen to a topic: those that take its message, or the name of the topic and its message.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Method};
use crate::reference::Call;

/// What a handler says about the message, for subscriptions of a lower priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handled {
    /// They get it, too.
    PassOn,
    /// They do not: it is consumed.
    Consumed,
}

#[diagnostic::on_unimplemented(
    message = "a method that listens to a topic returns nothing, or `Handled`",
    note = "`Handled::Consumed` keeps the message from subscriptions of a lower priority"
)]
/// What a handler returns: nothing, or [`Handled`].
pub trait Answer: sealed::Sealed {
    /// Whether it can consume.
    const CONSUMES: bool;
}

impl Answer for () {
    const CONSUMES: bool = false;
}

impl Answer for Handled {
    const CONSUMES: bool = true;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for super::Handled {}
}

#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot listen to a topic of `{T}`",
    note = "name a method of a reference that takes the message, or a `String` (the topic) and the message, and returns nothing or `Handled`: `RoomRef::on_line`"
)]
/// A method of a typed reference that can listen to a topic of `T`, such as `RoomRef::on_line`.
pub trait Handler<T, M: Method, Form> {
    /// Whether it may consume messages.
    const CONSUMES: bool;
}

impl<T, M, F> Handler<T, M, fn(T)> for F
where
    M: Method<Reply: Answer>,
    F: Fn(&<M::Actor as Actor>::Ref, T) -> Call<M>,
{
    const CONSUMES: bool = <M::Reply as Answer>::CONSUMES;
}

impl<T, M, F> Handler<T, M, fn(String, T)> for F
where
    M: Method<Reply: Answer>,
    F: Fn(&<M::Actor as Actor>::Ref, String, T) -> Call<M>,
{
    const CONSUMES: bool = <M::Reply as Answer>::CONSUMES;
}
