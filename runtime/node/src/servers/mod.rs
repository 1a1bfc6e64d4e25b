//! The node's ports: gateway, admin, and health with metrics. (The mesh serves its own.)
//!
//! One accept loop for all of them (`accept`), so that limits, counting and a clean end are the same everywhere.

mod accept;
mod admin;
mod grpc;
mod health;

pub(crate) use accept::{Acceptor, PortStats};
pub(crate) use admin::AdminService;
pub(crate) use grpc::{admin_routes, gateway_routes};
pub(crate) use health::health_routes;
