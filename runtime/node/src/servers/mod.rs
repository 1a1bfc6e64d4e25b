//! The node's ports: gateway, mesh, admin, and health with metrics.
//!
//! One accept loop for all of them (`accept`), so that limits, counting and a clean end are the same everywhere.

mod accept;
mod admin;
mod grpc;
mod health;

pub(crate) use accept::{Acceptor, PortStats};
pub(crate) use admin::AdminService;
pub(crate) use grpc::{admin_routes, gateway_routes, mesh_routes};
pub(crate) use health::health_routes;
