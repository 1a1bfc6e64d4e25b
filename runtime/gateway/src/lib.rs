//! What clients talk to: gRPC first, other transports later, each in a file of its own.
//!
//! A gateway makes one attempt per call, with one redirect to the owner. Repeating is the client's part: it can do so
//! when the whole node is gone, and it is safe because a call id is applied once.

mod grpc;
mod limits;
mod request;

pub use grpc::{Gateway, GatewayStats};
pub use limits::{DEFAULT_DEADLINE_MAX, MAX_MESSAGE_BYTES};
pub use request::call_of;
