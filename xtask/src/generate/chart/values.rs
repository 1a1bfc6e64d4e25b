//! What a user may set in the chart `greenroom`: each value with its type, its default and what it means.
//!
//! This is the one source: `values.yaml`, `values.schema.json` and the table in the chart's README are made from it.
//! An empty string, list or map means that the value is not set.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

type Map = BTreeMap<String, String>;

/// Settings of the chart greenroom.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Values {
    /// The image of the operator, of the placement API and of the stock node: one image holds all three.
    image: Image,
    /// Secrets for pulling images: `[{name: registry}]`. They are also given to the nodes' pods, and must then exist
    /// in the namespaces of the clusters.
    image_pull_secrets: Vec<SecretName>,
    /// The image of the stock node, for clusters that set no `spec.image`. Empty: the same as `image`. A cluster keeps
    /// the stock image that it was created with; see docs/kubernetes.md, "Upgrade".
    node_image: String,
    /// The namespaces that operator and placement API look at. Empty: all. With a list they get a Role in each of these
    /// namespaces instead of a ClusterRole; the namespaces must exist.
    watch_namespaces: Vec<String>,
    /// The DNS domain of the Kubernetes cluster.
    cluster_domain: String,
    /// The custom resource definitions.
    crds: Crds,
    /// How many operators. One leads, the others take over from it.
    #[schemars(range(min = 0))]
    replicas: u32,
    /// What a pod of the operator requests and what it is limited to.
    #[schemars(with = "BTreeMap<String, Value>")]
    resources: Value,
    /// The ServiceAccount of the operator.
    service_account: ServiceAccount,
    /// More environment variables for the operator, as in a container.
    #[schemars(with = "Vec<BTreeMap<String, Value>>")]
    extra_env: Vec<Value>,
    /// Annotations of the operator's pods.
    pod_annotations: Map,
    /// The placement API, which serves `kubectl get actorplacements` from the memory of the nodes.
    placement_api: PlacementApi,
    /// Roles and their bindings.
    rbac: Rbac,
    /// PodDisruptionBudgets: at most one pod of a Deployment is evicted at a time.
    pod_disruption_budget: Switch,
    /// NetworkPolicies: who may connect to operator and placement API, and where they may connect to.
    network_policy: NetworkPolicy,
    /// The priority of the pods, such as `system-cluster-critical`.
    priority_class_name: String,
    /// Labels of the hosts on which the pods may run.
    node_selector: Map,
    /// Taints of hosts that the pods tolerate.
    #[schemars(with = "Vec<BTreeMap<String, Value>>")]
    tolerations: Vec<Value>,
    /// Where the pods should run, as in a pod.
    #[schemars(with = "BTreeMap<String, Value>")]
    affinity: Value,
    /// How the pods are spread, as in a pod, but without `labelSelector`. Empty: over hosts and zones, where possible.
    #[schemars(with = "Vec<BTreeMap<String, Value>>")]
    topology_spread_constraints: Vec<Value>,
    /// Which log lines to write: a level, or tracing filter directives.
    log_level: String,
    /// How log lines look.
    log_format: LogFormat,
    /// Where to send traces over OTLP/gRPC, such as `http://collector.monitoring:4317`. Empty: nowhere.
    otlp_endpoint: String,
    /// Objects for Prometheus and Grafana; metrics are served in any case.
    metrics: Metrics,
    /// Labels for every object.
    common_labels: Map,
    /// Annotations for every object.
    common_annotations: Map,
    /// More objects to install, each a map or a text; templates in them are expanded.
    #[schemars(with = "Vec<ExtraObject>")]
    extra_objects: Vec<Value>,
    /// What all names begin with. Empty: the name of the release.
    fullname_override: String,
    /// The namespace to install into. Empty: that of the release.
    namespace_override: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Image {
    /// The registry; the only thing to change for a mirror.
    registry: String,
    /// The repository in it.
    repository: String,
    /// The tag. Empty: the version of the chart's application.
    tag: String,
    /// The digest, `sha256:…`. It is what counts if both are given.
    #[schemars(regex(pattern = r"^(sha256:[0-9a-f]{64})?$"))]
    digest: String,
    /// When to pull. Empty: as Kubernetes decides by the tag.
    pull_policy: PullPolicy,
}

#[derive(Serialize, JsonSchema)]
enum PullPolicy {
    #[serde(rename = "")]
    Unset,
    #[expect(dead_code, reason = "only users choose it")]
    Always,
    #[expect(dead_code, reason = "only users choose it")]
    IfNotPresent,
    #[expect(dead_code, reason = "only users choose it")]
    Never,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LogFormat {
    Json,
    #[expect(dead_code, reason = "only users choose it")]
    Text,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SecretName {
    /// The name of the Secret.
    name: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the type of what only users write")]
enum ExtraObject {
    Object(BTreeMap<String, Value>),
    Text(String),
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Crds {
    /// Install and upgrade them with this chart. `false`: they come from the chart greenroom-crds. They stay when the
    /// release is uninstalled, because clusters and shard maps would be deleted with them.
    enabled: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PlacementApi {
    /// Install it. `kubectl greenroom get placements` works without it.
    enabled: bool,
    /// How many pods. All of them answer.
    #[schemars(range(min = 0))]
    replicas: u32,
    /// What a pod requests and what it is limited to.
    #[schemars(with = "BTreeMap<String, Value>")]
    resources: Value,
    /// Its ServiceAccount.
    service_account: ServiceAccount,
    /// More environment variables, as in a container.
    #[schemars(with = "Vec<BTreeMap<String, Value>>")]
    extra_env: Vec<Value>,
    /// Annotations of its pods.
    pod_annotations: Map,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ServiceAccount {
    /// Create it.
    create: bool,
    /// Its name. Empty: the name of the Deployment if it is created, else `default`.
    name: String,
    /// Its annotations.
    annotations: Map,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Rbac {
    /// Create the roles of operator and placement API, and bind them.
    create: bool,
    /// Add rights on clusters and placements to the ClusterRoles `view`, `edit` and `admin`.
    aggregate_user_roles: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Switch {
    /// Install them.
    enabled: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct NetworkPolicy {
    /// Install them.
    enabled: bool,
    /// The addresses of the API server, such as `[10.0.0.1/32]`. With them the pods may connect to nothing but these,
    /// DNS and the nodes' admin ports. Empty: what they connect to is not restricted.
    api_server_cidrs: Vec<String>,
    /// More rules of what they may connect to, as in a NetworkPolicy; a collector of traces needs one.
    #[schemars(with = "Vec<BTreeMap<String, Value>>")]
    extra_egress: Vec<Value>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Metrics {
    /// PodMonitors for operator, placement API and nodes; needs the Prometheus operator.
    pod_monitor: PodMonitor,
    /// Alerts; needs the Prometheus operator.
    prometheus_rule: Labelled,
    /// A dashboard in a ConfigMap, for Grafana's sidecar.
    dashboard: Labelled,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PodMonitor {
    /// Install them.
    enabled: bool,
    /// How often metrics are read.
    interval: String,
    /// More labels, by which Prometheus finds it.
    labels: Map,
}

#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Labelled {
    /// Install it.
    enabled: bool,
    /// More labels, by which it is found.
    labels: Map,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            image: Image::default(),
            image_pull_secrets: vec![],
            node_image: String::new(),
            watch_namespaces: vec![],
            cluster_domain: "cluster.local".into(),
            crds: Crds::default(),
            replicas: 2,
            resources: small(),
            service_account: ServiceAccount::default(),
            extra_env: vec![],
            pod_annotations: Map::new(),
            placement_api: PlacementApi::default(),
            rbac: Rbac::default(),
            pod_disruption_budget: Switch::default(),
            network_policy: NetworkPolicy::default(),
            priority_class_name: String::new(),
            node_selector: Map::new(),
            tolerations: vec![],
            affinity: json!({}),
            topology_spread_constraints: vec![],
            log_level: "info".into(),
            log_format: LogFormat::Json,
            otlp_endpoint: String::new(),
            metrics: Metrics::default(),
            common_labels: Map::new(),
            common_annotations: Map::new(),
            extra_objects: vec![],
            fullname_override: String::new(),
            namespace_override: String::new(),
        }
    }
}

impl Default for Image {
    fn default() -> Self {
        Self {
            registry: "greenroom.dev".into(),
            repository: "greenroom".into(),
            tag: String::new(),
            digest: String::new(),
            pull_policy: PullPolicy::Unset,
        }
    }
}

impl Default for Crds {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for PlacementApi {
    fn default() -> Self {
        Self {
            enabled: true,
            replicas: 2,
            resources: small(),
            service_account: ServiceAccount::default(),
            extra_env: vec![],
            pod_annotations: Map::new(),
        }
    }
}

/// No limit of the processor: a throttled leader loses its lease.
fn small() -> Value {
    json!({ "requests": { "cpu": "20m", "memory": "64Mi" }, "limits": { "memory": "512Mi" } })
}

impl Default for ServiceAccount {
    fn default() -> Self {
        Self { create: true, name: String::new(), annotations: Map::new() }
    }
}

impl Default for Rbac {
    fn default() -> Self {
        Self { create: true, aggregate_user_roles: true }
    }
}

impl Default for Switch {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self { enabled: true, api_server_cidrs: vec![], extra_egress: vec![] }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            pod_monitor: PodMonitor { enabled: false, interval: "30s".into(), labels: Map::new() },
            prometheus_rule: Labelled { enabled: false, labels: Map::new() },
            dashboard: Labelled {
                enabled: false,
                labels: Map::from([("grafana_dashboard".to_owned(), "1".to_owned())]),
            },
        }
    }
}

impl Default for PodMonitor {
    fn default() -> Self {
        Metrics::default().pod_monitor
    }
}
