//! The node's ports: gateway, admin, and health with metrics. (The mesh serves its own.)
//!
//! One accept loop for all of them (`accept`), so that limits, counting and a clean end are the same everywhere; `access`
//! says who may call what where that is limited.

mod accept;
mod access;
mod admin;
mod dead_letters;
mod grpc;
mod health;
mod placements;

pub(crate) use accept::{Port, PortStats};
pub(crate) use access::{Access, Guard};
pub(crate) use admin::AdminService;
pub(crate) use grpc::{admin_routes, gateway_routes};
pub(crate) use health::health_routes;
