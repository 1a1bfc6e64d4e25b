//! What a caller can be told, one enum for every way of calling.
//!
//! Each case has a stable [`kind`](CallError::kind) that is the same in Rust, over the wire, in metrics and in
//! docs/reference/errors.md, and a message that says what was wrong and what to do.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{CodecError, Payload};

/// What a method returns that can fail: `Result<T>` with the default application error.
pub type Result<T, E = AppError> = std::result::Result<T, E>;

/// Why a call failed. `E` is the method's own error type.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallError<E = AppError> {
    /// The deadline passed.
    #[error("the deadline passed before the reply came{}", outcome(committed))]
    Timeout {
        /// Whether the turn was committed; `None`: not known, repeat the call with the same id to learn it. `Some(true)` is
        /// for who repeats a call whose reply had to make room for newer ones.
        committed: Option<bool>,
    },
    /// The call waits, directly or not, for a turn that waits for the call.
    #[error("deadlock: {}; let one of them answer without calling back, or use a `&self` method", path.join(" → "))]
    Deadlock {
        /// The actors of the cycle, in the order of the calls.
        path: Vec<String>,
    },
    /// A bounded queue is full. Nothing has happened; call again later.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// There is no such type or method.
    #[error("not found: {0}")]
    NotFound(String),
    /// The call itself is wrong: its identity, its arguments, its size.
    #[error("invalid call: {0}")]
    Invalid(String),
    /// Nobody can serve the actor right now. Nothing is known to have happened; repeat the call with the same id.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The method panicked. The turn was rolled back; the actor and the node go on.
    #[error("the method panicked and was rolled back: {0}")]
    Panicked(String),
    /// The actor does not take the call: it could not be activated, it is parked, or a filter refuses. Nothing has
    /// happened, and repeating the call at once will not help.
    #[error("refused: {0}")]
    Refused(String),
    /// The method returned its own error. The turn was rolled back.
    #[error("{0}")]
    App(E),
}

fn outcome(committed: &Option<bool>) -> &'static str {
    match committed {
        Some(true) => " (the turn is committed; its reply is kept no more)",
        Some(false) => " (the turn did not happen)",
        None => " (whether the turn is committed is not known; repeat the call with the same id)",
    }
}

impl<E> CallError<E> {
    /// The stable name of this case.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Deadlock { .. } => "deadlock",
            Self::Overloaded(_) => "overloaded",
            Self::NotFound(_) => "not_found",
            Self::Invalid(_) => "invalid",
            Self::Unavailable(_) => "unavailable",
            Self::Panicked(_) => "panicked",
            Self::Refused(_) => "refused",
            Self::App(_) => "app",
        }
    }

    /// Every kind with its meaning, for the reference.
    pub const KINDS: &'static [(&'static str, &'static str)] = &[
        ("timeout", "The deadline passed. `committed` tells whether the turn happened, when that is known."),
        (
            "deadlock",
            "The call waits for a turn that waits for the call; `path` names the actors of the cycle.",
        ),
        ("overloaded", "A bounded queue is full; nothing has happened. Call again later."),
        ("not_found", "There is no such actor type or method."),
        ("invalid", "The identity, the arguments or the size of the call are wrong; the message says which."),
        (
            "unavailable",
            "Nobody can serve the actor now. Repeat the call with the same id: it is applied once.",
        ),
        ("panicked", "The method panicked. Its turn was rolled back; the actor and the node go on."),
        (
            "refused",
            "The actor could not be activated, is parked after panics, or a filter refuses; the message says which.",
        ),
        ("app", "The method returned its own error. Its turn was rolled back."),
    ];

    /// The same error with another application error.
    pub fn map_app<F>(self, f: impl FnOnce(E) -> CallError<F>) -> CallError<F> {
        match self {
            Self::Timeout { committed } => CallError::Timeout { committed },
            Self::Deadlock { path } => CallError::Deadlock { path },
            Self::Overloaded(what) => CallError::Overloaded(what),
            Self::NotFound(what) => CallError::NotFound(what),
            Self::Invalid(what) => CallError::Invalid(what),
            Self::Unavailable(why) => CallError::Unavailable(why),
            Self::Panicked(what) => CallError::Panicked(what),
            Self::Refused(why) => CallError::Refused(why),
            Self::App(error) => f(error),
        }
    }

    /// True if the same call, with the same id, may succeed when it is repeated.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Overloaded(_))
    }
}

impl CallError<Payload> {
    /// Reads the application error that came over the wire.
    pub fn typed<E: DeserializeOwned>(self) -> CallError<E> {
        self.map_app(|payload| match payload.decode("the application error") {
            Ok(error) => CallError::App(error),
            Err(error) => {
                CallError::Invalid(format!("{error}; caller and node were built from different types"))
            }
        })
    }
}

impl<E> From<CodecError> for CallError<E> {
    fn from(error: CodecError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// The application error of methods that name no other: a message, made from any error by `?`.
///
/// Like `anyhow::Error` it does not implement `std::error::Error` itself, which is what lets `?` convert any error.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppError {
    /// What went wrong.
    pub message: String,
}

impl AppError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for AppError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}
