//! The placement API: actors as Kubernetes objects, served from the memory of the nodes.
//!
//! [`framework`] is an aggregated API server for resources that live in memory; [`resources`] has the one there is;
//! [`nodes`] asks and follows the nodes; [`security`] says who asks, whether they may, and keeps the certificates.
//! Nothing here is stored, and nothing is written to Kubernetes but this program's own Secret and `caBundle`.

pub mod args;
mod cache;
pub mod framework;
pub mod health;
pub mod listener;
pub mod metrics;
pub mod nodes;
pub mod resources;
pub mod security;
pub mod server;
