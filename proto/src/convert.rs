//! Between the wire types and the types of the core: written once here for the mesh, the gateway and the client.
//!
//! What comes from outside is checked here; nothing behind this file sees an identity that is not valid.

use std::time::Duration;

use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::error::CallError;
use greenroom_core::identity::{ActorId, ActorType, IdentityError};
use prost::Message;
use thiserror::Error;
use tonic::{Code, Status};

use crate::v1;

/// Why a message of the wire cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// A field that must be there is not.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// An identity that is none.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The content type has a number that this version does not know.
    #[error("content type {0} is not known: use 0 (MessagePack), 1 (JSON) or 2 (protobuf)")]
    ContentType(i32),
}

/// The type URL of the error in a status's details.
const CALL_ERROR_URL: &str = "type.googleapis.com/greenroom.v1.CallError";

impl From<Payload> for v1::Payload {
    fn from(payload: Payload) -> Self {
        let content_type = match payload.content_type {
            ContentType::Msgpack => v1::ContentType::Msgpack,
            ContentType::Json => v1::ContentType::Json,
            ContentType::Protobuf => v1::ContentType::Protobuf,
        };
        Self { content_type: content_type.into(), data: payload.data }
    }
}

impl TryFrom<v1::Payload> for Payload {
    type Error = WireError;
    fn try_from(payload: v1::Payload) -> Result<Self, WireError> {
        let content_type = match v1::ContentType::try_from(payload.content_type) {
            Ok(v1::ContentType::Msgpack) => ContentType::Msgpack,
            Ok(v1::ContentType::Json) => ContentType::Json,
            Ok(v1::ContentType::Protobuf) => ContentType::Protobuf,
            Err(_) => return Err(WireError::ContentType(payload.content_type)),
        };
        Ok(Self { content_type, data: payload.data })
    }
}

impl From<&ActorId> for v1::ActorId {
    fn from(id: &ActorId) -> Self {
        Self { r#type: id.actor_type.as_str().to_owned(), key: id.key.as_str().to_owned() }
    }
}

impl TryFrom<v1::ActorId> for ActorId {
    type Error = WireError;
    fn try_from(id: v1::ActorId) -> Result<Self, WireError> {
        Ok(ActorId::new(ActorType::new(&id.r#type)?, &id.key)?)
    }
}

impl From<CallError<Payload>> for v1::CallError {
    fn from(error: CallError<Payload>) -> Self {
        let kind = error.kind().to_owned();
        let mut wire = Self { kind, ..Self::default() };
        match error {
            CallError::Timeout { committed } => wire.committed = committed,
            CallError::Deadlock { path } => wire.path = path,
            CallError::App(payload) => wire.app = Some(payload.into()),
            CallError::Overloaded(text)
            | CallError::NotFound(text)
            | CallError::Invalid(text)
            | CallError::Unavailable(text)
            | CallError::Panicked(text)
            | CallError::Refused(text) => wire.message = text,
        }
        wire
    }
}

impl TryFrom<v1::CallError> for CallError<Payload> {
    type Error = WireError;
    fn try_from(wire: v1::CallError) -> Result<Self, WireError> {
        Ok(match wire.kind.as_str() {
            "timeout" => Self::Timeout { committed: wire.committed },
            "deadlock" => Self::Deadlock { path: wire.path },
            "overloaded" => Self::Overloaded(wire.message),
            "not_found" => Self::NotFound(wire.message),
            "unavailable" => Self::Unavailable(wire.message),
            "panicked" => Self::Panicked(wire.message),
            "refused" => Self::Refused(wire.message),
            "app" => Self::App(wire.app.ok_or(WireError::Missing("application error"))?.try_into()?),
            "invalid" => Self::Invalid(wire.message),
            // A kind that a newer node knows: nothing may be assumed about it.
            unknown => Self::Invalid(format!("the other node answered {unknown:?}: {}", wire.message)),
        })
    }
}

/// What a caller is told when a gRPC server answers that has no gateway.
pub const NO_GATEWAY: &str =
    "what answers at this address is no gateway of Greenroom; give a node's gateway address";

/// The gRPC status of a failed call: the code for every gRPC client, the whole error in the details for ours.
pub fn status_of(error: CallError<Payload>) -> Status {
    let code = match &error {
        CallError::Timeout { .. } => Code::DeadlineExceeded,
        CallError::Deadlock { .. } | CallError::App(_) | CallError::Refused(_) => Code::FailedPrecondition,
        CallError::Overloaded(_) => Code::ResourceExhausted,
        CallError::NotFound(_) => Code::NotFound,
        CallError::Invalid(_) => Code::InvalidArgument,
        CallError::Unavailable(_) => Code::Unavailable,
        CallError::Panicked(_) => Code::Internal,
    };
    let message = error.to_string();
    let value = v1::CallError::from(error).encode_to_vec().into();
    let detail = v1::Any { type_url: CALL_ERROR_URL.into(), value };
    let details = v1::Status { code: code.into(), message: message.clone(), details: vec![detail] };
    Status::with_details(code, message, details.encode_to_vec().into())
}

/// The error that a status carries, or the nearest one if it is not from a Greenroom gateway.
pub fn error_of(status: &Status) -> CallError<Payload> {
    let carried = v1::Status::decode(status.details())
        .ok()
        .and_then(|details| details.details.into_iter().find(|any| any.type_url == CALL_ERROR_URL))
        .and_then(|any| v1::CallError::decode(any.value).ok())
        .and_then(|error| CallError::try_from(error).ok());
    if let Some(carried) = carried {
        return carried;
    }
    let message = status.message().to_owned();
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => CallError::Timeout { committed: None },
        Code::ResourceExhausted => CallError::Overloaded(message),
        Code::NotFound => CallError::NotFound(message),
        Code::InvalidArgument | Code::OutOfRange => CallError::Invalid(message),
        Code::Unimplemented => CallError::Invalid(NO_GATEWAY.into()),
        _ => CallError::Unavailable(message),
    }
}

/// A time span on the wire, in milliseconds: what is left of a millisecond is not lost.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_error() -> Vec<CallError<Payload>> {
        let app = Payload { content_type: ContentType::Json, data: r#"{"message":"no"}"#.into() };
        vec![
            CallError::Timeout { committed: None },
            CallError::Timeout { committed: Some(false) },
            CallError::Deadlock { path: vec!["A/1".into(), "B/1".into(), "A/1".into()] },
            CallError::Overloaded("o".into()),
            CallError::NotFound("n".into()),
            CallError::Invalid("i".into()),
            CallError::Unavailable("u".into()),
            CallError::Panicked("p".into()),
            CallError::Refused("r".into()),
            CallError::App(app),
        ]
    }

    #[test]
    fn every_error_survives_the_wire_and_the_grpc_status() {
        for error in every_error() {
            assert_eq!(CallError::try_from(v1::CallError::from(error.clone())), Ok(error.clone()));
            assert_eq!(error_of(&status_of(error.clone())), error);
        }
        let kinds: std::collections::BTreeSet<_> = every_error().iter().map(CallError::kind).collect();
        assert_eq!(kinds.len(), CallError::<()>::KINDS.len(), "a kind is missing above");
    }

    #[test]
    fn a_status_from_elsewhere_becomes_the_nearest_error() {
        assert_eq!(error_of(&Status::unavailable("gone")).kind(), "unavailable");
        assert_eq!(error_of(&Status::resource_exhausted("big")).kind(), "overloaded");
    }
}
