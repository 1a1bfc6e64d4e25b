//! How a node is configured: flags over environment over file over defaults, one list of settings for all of them.
//!
//! [`NodeArgs`] is that list, each setting optional; [`NodeArgs::resolve`] makes the [`NodeConfig`] that the node runs
//! with, and `--print-config` shows it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use greenroom_cluster::coordinator::Expected;
use greenroom_core::{ShardCount, ShardLayout};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use greenroom_core::layout::MAX_SHARDS;

pub use crate::groups::{NodeGroup, NodeGroups};
pub use crate::memory::MemorySetting;

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not valid.
    #[error("the configuration file {} is not valid: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// The flags or the environment are not valid.
    #[error("{0}")]
    Arguments(#[from] clap::Error),
    /// A setting has a value that cannot work.
    #[error("{setting}: {message}")]
    Value {
        /// The setting, by its flag.
        setting: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
}

/// Which engine holds the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StorageEngine {
    /// SQLite files in the data directory.
    #[default]
    Sqlite,
    /// Memory: the state is gone when the process is.
    Memory,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings of a node, as flags, environment variables, or fields (in camel case) of a YAML file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeArgs {
    /// A YAML file with settings; flags and environment win over it
    #[arg(long, env = "GREENROOM_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// The cluster's name [default: local]
    #[arg(long, env = "GREENROOM_CLUSTER", value_name = "NAME")]
    pub cluster: Option<String>,

    /// This node's name, unique in the cluster [default: CLUSTER-0]
    #[arg(long = "name", env = "GREENROOM_NODE", value_name = "NAME")]
    pub node: Option<String>,

    /// Where the store lives; needed by the engine sqlite [default: ./data]
    #[arg(long, env = "GREENROOM_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// The engine that holds the state [default: sqlite]
    #[arg(long, env = "GREENROOM_STORAGE_ENGINE", value_enum)]
    pub storage_engine: Option<StorageEngine>,

    /// Where the shard map is kept, http://HOST:PORT or `kubernetes`; without it the node is a cluster of its own
    #[arg(long, env = "GREENROOM_COORDINATION", value_name = "URL")]
    pub coordination: Option<String>,

    /// The cluster's namespace in Kubernetes [default: that of the pod]
    #[arg(long, env = "GREENROOM_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,

    /// A directory with tls.crt, tls.key and ca.crt; with it, mesh and admin service take mutual TLS only
    #[arg(long, env = "GREENROOM_TLS_DIR", value_name = "DIR")]
    pub tls_dir: Option<PathBuf>,

    /// How many nodes the cluster has [default: 1]
    #[arg(long, env = "GREENROOM_REPLICAS", value_name = "N")]
    pub replicas: Option<u32>,

    /// How many shards the cluster has; fixed when it is created [default: 1024]
    #[arg(long, env = "GREENROOM_SHARDS", value_name = "N")]
    pub shards: Option<u16>,

    /// The groups of nodes that have shards of their own, as NAME=SHARDSxNODES,…; fixed when the cluster is created
    #[arg(long, env = "GREENROOM_GROUPS", value_name = "GROUPS")]
    pub groups: Option<NodeGroups>,

    /// The group that this node belongs to, one of the groups [default: none, it is a general node]
    #[arg(long, env = "GREENROOM_GROUP", value_name = "NAME")]
    pub group: Option<String>,

    /// Where clients connect [default: 127.0.0.1:7400]
    #[arg(long, env = "GREENROOM_GATEWAY_LISTEN", value_name = "ADDRESS")]
    pub gateway_listen: Option<SocketAddr>,

    /// Where other nodes connect [default: 127.0.0.1:7401]
    #[arg(long, env = "GREENROOM_MESH_LISTEN", value_name = "ADDRESS")]
    pub mesh_listen: Option<SocketAddr>,

    /// Where the CLI and the placement API connect [default: 127.0.0.1:7402]
    #[arg(long, env = "GREENROOM_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,

    /// Health checks and metrics over HTTP [default: 127.0.0.1:7403]
    #[arg(long, env = "GREENROOM_HEALTH_LISTEN", value_name = "ADDRESS")]
    pub health_listen: Option<SocketAddr>,

    /// Above so much memory the actors leave that were idle for longest: 512Mi, 2Gi, or a percentage of the
    /// container's limit [default: 80%]
    #[arg(long, env = "GREENROOM_MEMORY_SOFT", value_name = "SIZE")]
    pub memory_soft: Option<MemorySetting>,

    /// Above so much memory calls are refused that would bring another actor into it [default: 90%]
    #[arg(long, env = "GREENROOM_MEMORY_HARD", value_name = "SIZE")]
    pub memory_hard: Option<MemorySetting>,

    /// How long running turns may take when the node stops, in seconds [default: 30]
    #[arg(long, env = "GREENROOM_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<u64>,

    /// Which log lines to write, as tracing filter directives [default: info]
    #[arg(long, env = "GREENROOM_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// How log lines look [default: text]
    #[arg(long, env = "GREENROOM_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// Where to send traces over OTLP/gRPC; without it nothing is traced
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Stop when standard input ends, that is, when the parent process does [default: false]
    #[arg(long, env = "GREENROOM_EXIT_WITH_PARENT", num_args = 0..=1, default_missing_value = "true")]
    pub exit_with_parent: Option<bool>,

    /// Print the configuration that results, as YAML, and stop
    #[arg(long)]
    #[serde(skip)]
    pub print_config: bool,
}

/// Takes each named setting from the first of two sources that has it.
macro_rules! or {
    ($first:ident, $second:ident, { $($setting:ident),* $(,)? }) => {
        NodeArgs {
            config: $first.config,
            print_config: $first.print_config,
            $($setting: $first.$setting.or($second.$setting)),*
        }
    };
}

impl NodeArgs {
    /// The settings from the environment alone.
    pub fn from_env() -> Result<Self, ConfigError> {
        let command = Self::augment_args(clap::Command::new("greenroom-node"));
        let matches = command.try_get_matches_from(["greenroom-node"])?;
        Ok(<Self as clap::FromArgMatches>::from_arg_matches(&matches)?)
    }

    /// Reads the file, if one is named, fills in the defaults and checks the values.
    pub fn resolve(self) -> Result<NodeConfig, ConfigError> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let args = or!(self, file, {
            cluster, node, data_dir, storage_engine, coordination, namespace, tls_dir, replicas, shards, groups, group, gateway_listen,
            mesh_listen, admin_listen, health_listen, memory_soft, memory_hard, drain_seconds, log, log_format,
            otlp_endpoint, exit_with_parent,
        });
        let cluster = args.cluster.unwrap_or_else(|| "local".into());
        let config = NodeConfig {
            node: args.node.unwrap_or_else(|| format!("{cluster}-0")),
            cluster,
            data_dir: args.data_dir.unwrap_or_else(|| "./data".into()),
            storage_engine: args.storage_engine.unwrap_or_default(),
            namespace: namespace(args.namespace, args.coordination.as_deref(), args.tls_dir.is_some())?,
            coordination: args.coordination,
            tls_dir: args.tls_dir,
            replicas: args.replicas.unwrap_or(1),
            shards: shard_count(args.shards)?,
            groups: args.groups.unwrap_or_default(),
            group: args.group.filter(|group| !group.is_empty()),
            gateway_listen: args.gateway_listen.unwrap_or_else(|| loopback(7400)),
            mesh_listen: args.mesh_listen.unwrap_or_else(|| loopback(7401)),
            admin_listen: args.admin_listen.unwrap_or_else(|| loopback(7402)),
            health_listen: args.health_listen.unwrap_or_else(|| loopback(7403)),
            memory_soft: args.memory_soft.unwrap_or(MEMORY_SOFT),
            memory_hard: args.memory_hard.unwrap_or(MEMORY_HARD),
            drain_seconds: args.drain_seconds.unwrap_or(30),
            log: args.log.unwrap_or_else(|| "info".into()),
            log_format: args.log_format.unwrap_or_default(),
            otlp_endpoint: args.otlp_endpoint.filter(|endpoint| !endpoint.is_empty()),
            exit_with_parent: args.exit_with_parent.unwrap_or(false),
        };
        config.check()?;
        Ok(config)
    }
}

fn read_file(path: &Path) -> Result<NodeArgs, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string() })
}

/// The value of `--coordination` for a cluster in Kubernetes.
pub const KUBERNETES: &str = "kubernetes";

/// Where a pod is told its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The namespace, where one is needed: the shard map lies in it, and the identities of the certificates name it.
fn namespace(
    given: Option<String>,
    coordination: Option<&str>,
    tls: bool,
) -> Result<Option<String>, ConfigError> {
    if given.is_some() || !(tls || coordination == Some(KUBERNETES)) {
        return Ok(given);
    }
    let told = std::fs::read_to_string(NAMESPACE_FILE).map_err(|_| ConfigError::Value {
        setting: "--namespace",
        message:
            "it is not set, and this is no pod that could tell it; set the namespace of the ActorCluster"
                .into(),
    })?;
    Ok(Some(told.trim().to_owned()))
}

fn shard_count(shards: Option<u16>) -> Result<ShardCount, ConfigError> {
    let Some(shards) = shards else { return Ok(ShardCount::DEFAULT) };
    ShardCount::new(shards).filter(|count| count.get() <= MAX_SHARDS).ok_or_else(|| ConfigError::Value {
        setting: "--shards",
        message: format!("{shards} is not between 1 and {MAX_SHARDS}; 1024 suits up to about 100 nodes"),
    })
}

const MEMORY_SOFT: MemorySetting = MemorySetting::Percent(80);
const MEMORY_HARD: MemorySetting = MemorySetting::Percent(90);

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The configuration that a node runs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeConfig {
    /// The cluster's name.
    pub cluster: String,
    /// This node's name.
    pub node: String,
    /// Where the store lives.
    pub data_dir: PathBuf,
    /// Which engine holds the state.
    pub storage_engine: StorageEngine,
    /// Where the shard map is kept: a URL or [`KUBERNETES`]; `None`: in this process.
    pub coordination: Option<String>,
    /// The cluster's namespace in Kubernetes; set whenever `coordination` or `tls_dir` need one.
    pub namespace: Option<String>,
    /// Where the certificate, key and authorities of mesh and admin service lie; `None`: they are plain.
    pub tls_dir: Option<PathBuf>,
    /// How many general nodes the cluster has.
    pub replicas: u32,
    /// How many general shards the cluster has.
    pub shards: ShardCount,
    /// The groups of nodes that have shards of their own.
    #[serde(skip_serializing_if = "NodeGroups::is_empty")]
    pub groups: NodeGroups,
    /// The group that this node belongs to; `None`: it is a general one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where clients connect.
    pub gateway_listen: SocketAddr,
    /// Where other nodes connect.
    pub mesh_listen: SocketAddr,
    /// Where the CLI connects.
    pub admin_listen: SocketAddr,
    /// Health checks and metrics.
    pub health_listen: SocketAddr,
    /// Above so much memory idle actors leave.
    pub memory_soft: MemorySetting,
    /// Above so much memory no more actors come into it.
    pub memory_hard: MemorySetting,
    /// How long running turns may take when the node stops, in seconds.
    pub drain_seconds: u64,
    /// Which log lines to write.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where to send traces.
    pub otlp_endpoint: Option<String>,
    /// Stop when standard input ends.
    pub exit_with_parent: bool,
}

impl NodeConfig {
    /// A cluster of one node in this process: memory, ports chosen by the system.
    pub fn local() -> Self {
        let any_port = loopback(0);
        Self {
            cluster: "local".into(),
            node: "local-0".into(),
            data_dir: "./data".into(),
            storage_engine: StorageEngine::Memory,
            coordination: None,
            namespace: None,
            tls_dir: None,
            replicas: 1,
            shards: ShardCount::DEFAULT,
            groups: NodeGroups::default(),
            group: None,
            gateway_listen: any_port,
            mesh_listen: any_port,
            admin_listen: any_port,
            health_listen: any_port,
            memory_soft: MEMORY_SOFT,
            memory_hard: MEMORY_HARD,
            drain_seconds: 30,
            log: "info".into(),
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            exit_with_parent: false,
        }
    }

    /// How long running turns may take when the node stops.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// How the shards are divided, or why they cannot be.
    pub(crate) fn layout(&self) -> Result<ShardLayout, ConfigError> {
        let wrong = |message| ConfigError::Value { setting: "--groups", message };
        self.groups.layout(self.shards).map_err(wrong)
    }

    /// How many members the first assignment waits for.
    pub(crate) fn expected(&self) -> Expected {
        let group = |group: &NodeGroup| (group.name.clone(), group.replicas as usize);
        Expected { general: self.replicas as usize, groups: self.groups.0.iter().map(group).collect() }
    }

    /// The configuration as YAML.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("a configuration of plain values is valid YAML")
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.replicas == 0 {
            return Err(ConfigError::Value {
                setting: "--replicas",
                message: "0 nodes make no cluster".into(),
            });
        }
        self.check_groups()?;
        if self.replicas > 1 && self.coordination.is_none() {
            return Err(ConfigError::Value {
                setting: "--coordination",
                message: format!(
                    "{} nodes need a common shard map; start them with `greenroom dev` or an ActorCluster, which set this",
                    self.replicas
                ),
            });
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), ConfigError> {
        self.layout()?;
        let wrong = |setting, message| Err(ConfigError::Value { setting, message });
        let names: Vec<_> = self.groups.0.iter().map(|group| group.name.as_str()).collect();
        if let Some(group) = self.group.as_deref().filter(|group| !names.contains(group)) {
            let known = if names.is_empty() { "none".into() } else { names.join(", ") };
            let message =
                format!("{group:?} is no group of this cluster, which has {known}; declare it in --groups");
            return wrong("--group", message);
        }
        if let Some(empty) = self.groups.0.iter().find(|group| group.replicas == 0) {
            return wrong("--groups", format!("the group {} has 0 nodes; give it at least 1", empty.name));
        }
        if !names.is_empty() && self.coordination.is_none() {
            let message = "a node alone has no groups; start them with `greenroom dev` or an ActorCluster";
            return wrong("--coordination", message.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(yaml: &str, args: NodeArgs) -> Result<NodeConfig, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        NodeArgs { config: Some(file.path().into()), ..args }.resolve()
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let flags = NodeArgs { cluster: Some("flag".into()), ..NodeArgs::default() };
        let config = with_file("cluster: file\nshards: 64\n", flags).unwrap();
        assert_eq!((config.cluster.as_str(), config.shards.get()), ("flag", 64));
        assert_eq!((config.node.as_str(), config.replicas), ("flag-0", 1));
    }

    #[test]
    fn mistakes_name_the_setting_and_the_remedy() {
        for (yaml, part) in [
            ("clutser: x\n", "clutser"),
            ("shards: 0\n", "--shards: 0 is not between 1 and"),
            ("replicas: 3\n", "greenroom dev"),
            ("replicas: 0\n", "0 nodes make no cluster"),
            ("groups: [{name: gpu}]\n", "a node alone has no groups"),
            ("groups: [{name: Gpu}]\n", "no name of a group"),
            ("groups: [{name: gpu, replicas: 0}]\n", "give it at least 1"),
            ("groups: [{name: gpu}]\ngroup: disk\n", "which has gpu; declare it"),
            ("coordination: kubernetes\n", "--namespace: it is not set"),
            ("tlsDir: /tls\n", "set the namespace of the ActorCluster"),
        ] {
            let error = with_file(yaml, NodeArgs::default()).unwrap_err().to_string();
            assert!(error.contains(part), "{yaml:?}: {error}");
        }
    }

    /// What the operator writes into the ConfigMap and the pod's environment.
    #[test]
    fn the_settings_of_a_pod_are_understood() {
        let yaml = "cluster: games\nreplicas: 3\nshards: 256\nstorageEngine: sqlite\ndataDir: /data\n\
            coordination: kubernetes\ntlsDir: /etc/greenroom/tls\ngatewayListen: 0.0.0.0:7400\n\
            meshListen: 0.0.0.0:7401\nadminListen: 0.0.0.0:7402\nhealthListen: 0.0.0.0:7403\ndrainSeconds: 20\n";
        let environment = NodeArgs {
            node: Some("games-2".into()),
            namespace: Some("prod".into()),
            drain_seconds: Some(40),
            ..NodeArgs::default()
        };
        let config = with_file(yaml, environment).unwrap();
        assert_eq!((config.node.as_str(), config.namespace.as_deref()), ("games-2", Some("prod")));
        assert_eq!((config.coordination.as_deref(), config.drain_seconds), (Some(KUBERNETES), 40));
        assert_eq!(config.tls_dir, Some("/etc/greenroom/tls".into()));
        assert_eq!(config.admin_listen.to_string(), "0.0.0.0:7402");
    }

    #[test]
    fn the_printed_configuration_can_be_read_back() {
        let args =
            NodeArgs { namespace: Some("prod".into()), tls_dir: Some("/tls".into()), ..NodeArgs::default() };
        let config = args.resolve().unwrap();
        assert_eq!(with_file(&config.to_yaml(), NodeArgs::default()).unwrap(), config);
    }
}
