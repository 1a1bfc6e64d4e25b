//! What the operator is told when it starts.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use greenroom_operator_plan::observed::Settings;

/// The operator of Greenroom: turns ActorClusters into running nodes.
#[derive(Debug, Clone, Parser)]
#[command(name = "greenroom-operator", version)]
pub struct Args {
    /// Who this replica is, in the Lease, in events and in the API server's audit log
    #[arg(long, env = "POD_NAME")]
    pub identity: String,

    /// The namespace that the operator runs in: its Lease and its Secrets are there
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// The Lease that decides which replica leads
    #[arg(long, env = "GREENROOM_LEASE_NAME", default_value = "greenroom-operator")]
    pub lease_name: String,

    /// The Secret with the certificate authority; made if it is missing
    #[arg(long, env = "GREENROOM_CA_SECRET", default_value = "greenroom-ca")]
    pub ca_secret: String,

    /// The Secret with the certificate by which the placement API asks nodes
    #[arg(
        long,
        env = "GREENROOM_PLACEMENT_API_CLIENT_SECRET",
        default_value = "greenroom-placement-api-client"
    )]
    pub placement_api_client_secret: String,

    /// The namespaces whose clusters are looked after, with commas between; empty: all
    #[arg(long, env = "GREENROOM_WATCH_NAMESPACES", default_value = "", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// The image of the stock node, for clusters that name none
    #[arg(long, env = "GREENROOM_NODE_IMAGE")]
    pub node_image: String,

    /// How nodes' images are pulled: Always, IfNotPresent or Never; empty: as Kubernetes decides by the tag
    #[arg(long, env = "GREENROOM_IMAGE_PULL_POLICY", default_value = "")]
    pub image_pull_policy: String,

    /// The Secrets that pull nodes' images, with commas between
    #[arg(long, env = "GREENROOM_IMAGE_PULL_SECRETS", default_value = "", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,

    /// The DNS domain of the Kubernetes cluster
    #[arg(long, env = "GREENROOM_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,

    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "GREENROOM_HTTP_LISTEN", default_value = "0.0.0.0:8080")]
    pub http_listen: SocketAddr,

    /// What is logged, such as info or greenroom_operator=debug,info
    #[arg(long, env = "GREENROOM_LOG", default_value = "info")]
    pub log: String,

    /// How it is logged
    #[arg(long, env = "GREENROOM_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Where traces are sent, as OTLP over gRPC, such as http://collector:4317; empty: nowhere
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "")]
    pub otlp_endpoint: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    /// What the plan needs to know of the installation.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            node_image: self.node_image.clone(),
            image_pull_policy: Some(self.image_pull_policy.clone()).filter(|policy| !policy.is_empty()),
            image_pull_secrets: filled(&self.image_pull_secrets),
            namespace: self.namespace.clone(),
            cluster_domain: self.cluster_domain.clone(),
        }
    }

    /// The scopes to watch: `None` is every namespace.
    pub(crate) fn scopes(&self) -> Vec<Option<String>> {
        let namespaces = filled(&self.watch_namespaces);
        if namespaces.is_empty() { vec![None] } else { namespaces.into_iter().map(Some).collect() }
    }
}

/// An unset list arrives as one empty entry.
fn filled(list: &[String]) -> Vec<String> {
    let mut list: Vec<_> =
        list.iter().map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect();
    list.sort();
    list.dedup();
    list
}
