//! Who asks, whether they may, and the certificates that make both believable.
//!
//! The API server passes requests on with headers that say who asked. They are believed only over a connection whose
//! client certificate comes from the API server's front-proxy authority. Whether a user may is asked of the API server,
//! so ordinary Roles decide.

pub mod authentication;
pub mod authorization;
pub mod certificates;
pub mod pki;
pub mod renewal;
pub mod request_header;
