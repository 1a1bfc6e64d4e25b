//! Where clients reach a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Service that clients talk to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The type of the Service.
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    /// The port of the Service.
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    pub port: u16,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { service_type: ServiceType::ClusterIP, port: 7400 }
    }
}

/// From where a Service can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// From inside the Kubernetes cluster only.
    #[default]
    ClusterIP,
    /// At a port of every host too.
    NodePort,
    /// Through a load balancer of the cloud too.
    LoadBalancer,
}
