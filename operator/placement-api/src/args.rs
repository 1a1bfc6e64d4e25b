//! The settings of the placement API, as flags and environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Serves the actors of all clusters as Kubernetes objects, from the memory of the nodes.
#[derive(Debug, Clone, Parser)]
#[command(name = "greenroom-placement-api", version)]
pub struct Args {
    /// The namespace of this program's Service and Secret
    #[arg(long, env = "POD_NAMESPACE", default_value = "greenroom-system")]
    pub namespace: String,

    /// The Service that the API server reaches it by
    #[arg(long, env = "GREENROOM_SERVICE_NAME", default_value = "greenroom-placement-api")]
    pub service_name: String,

    /// The Secret with its certificates, which it makes and renews
    #[arg(long, env = "GREENROOM_TLS_SECRET", default_value = "greenroom-placement-api-tls")]
    pub tls_secret: String,

    /// Where the operator's Secret with the certificate for nodes is mounted
    #[arg(
        long,
        env = "GREENROOM_CLIENT_TLS_DIR",
        value_name = "DIR",
        default_value = "/etc/greenroom/client-tls"
    )]
    pub client_tls_dir: PathBuf,

    /// The namespaces whose clusters are shown, separated by commas; empty: all
    #[arg(long, env = "GREENROOM_WATCH_NAMESPACES", value_name = "NAMES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Where the API server connects, with TLS
    #[arg(long, env = "GREENROOM_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,

    /// Health checks and metrics over HTTP
    #[arg(long, env = "GREENROOM_HTTP_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_listen: SocketAddr,

    /// Which log lines to write, as tracing filter directives
    #[arg(long, env = "GREENROOM_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// How log lines look
    #[arg(long, env = "GREENROOM_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
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
    /// The namespaces to watch, without empty ones.
    pub fn namespaces(&self) -> Vec<String> {
        let named = self.watch_namespaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        named.map(str::to_owned).collect()
    }
}
