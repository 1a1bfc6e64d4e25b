//! What a cluster's objects, labels, ports and identities are called: written once, for the operator that makes them
//! and for whoever looks for them (nodes, placement API, command line).
//!
//! Every name begins with the cluster's, which has at most 40 characters, so all of them fit a DNS label. With a group's
//! name it has at most 52: Kubernetes puts `-` and a hash of ten behind the name of a StatefulSet, as a label of 63.

/// The group of the custom resources, and the prefix of labels and annotations.
pub const GROUP: &str = "greenroom.dev";
/// The label that names the cluster, on every object of it.
pub const CLUSTER_LABEL: &str = "greenroom.dev/cluster";
/// The label that names the group of nodes, on the StatefulSet and the pods of a group.
pub const GROUP_LABEL: &str = "greenroom.dev/group";
/// The annotation with the hash of what the operator wants an object to be.
pub const HASH_ANNOTATION: &str = "greenroom.dev/hash";
/// The annotation with the hash of a node's settings, on its pod.
pub const CONFIG_HASH_ANNOTATION: &str = "greenroom.dev/config-hash";
/// The annotation with the number of nodes that a cluster or a group was made with, on its StatefulSet; of the general nodes on
/// the shard map's pages.
pub const REPLICAS_ANNOTATION: &str = "greenroom.dev/replicas";
/// The annotation with the number of general shards, on the shard map's pages.
pub const SHARDS_ANNOTATION: &str = "greenroom.dev/shards";
/// The annotation with the groups of nodes, as `gpu=64x1,…` (shards, then nodes), on the shard map's pages.
pub const GROUPS_ANNOTATION: &str = "greenroom.dev/groups";
/// The annotation with the stock image that a cluster was made with, on its StatefulSet.
pub const STOCK_IMAGE_ANNOTATION: &str = "greenroom.dev/stock-image";
/// The annotation by which a user lets a cluster of stock nodes follow the operator's image: while it is `true`, on the
/// ActorCluster.
pub const FOLLOW_STOCK_IMAGE_ANNOTATION: &str = "greenroom.dev/follow-stock-image";

/// `app.kubernetes.io/name` of a cluster's objects.
pub const APP_NAME: &str = "greenroom";
/// `app.kubernetes.io/managed-by` of a cluster's objects.
pub const MANAGED_BY: &str = "greenroom-operator";
/// `app.kubernetes.io/component` of a cluster's pods.
pub const NODE_COMPONENT: &str = "node";
/// `app.kubernetes.io/part-of` of the pods of the operator and the placement API.
pub const PART_OF: &str = "greenroom";

/// The container of the node program.
pub const NODE_CONTAINER: &str = "node";
/// The volume, and the template of its claim.
pub const DATA_VOLUME: &str = "data";
/// Where the volume is mounted.
pub const DATA_DIR: &str = "/data";
/// Where the node finds its certificate, key and trust anchors.
pub const TLS_DIR: &str = "/etc/greenroom/tls";
/// Where the node finds its settings.
pub const CONFIG_DIR: &str = "/etc/greenroom/config";
/// The file with the settings of a node, in [`CONFIG_DIR`] and in the ConfigMap.
pub const CONFIG_FILE: &str = "node.yaml";

/// Where clients connect; also the name of the port.
pub const GATEWAY_PORT: (&str, u16) = ("gateway", 7400);
/// Where nodes connect to each other.
pub const MESH_PORT: (&str, u16) = ("mesh", 7401);
/// Where the operator, the placement API and the command line connect.
pub const ADMIN_PORT: (&str, u16) = ("admin", 7402);
/// Health checks and metrics.
pub const HEALTH_PORT: (&str, u16) = ("health", 7403);

/// The files of a TLS secret and directory, as in every `kubernetes.io/tls` secret, and the trust anchors beside them.
pub const TLS_FILES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// The StatefulSet of the nodes of a group, or of the general nodes.
pub fn stateful_set(cluster: &str, group: Option<&str>) -> String {
    group.map_or_else(|| cluster.to_owned(), |group| format!("{cluster}-{group}"))
}

/// A node and its pod: one of a group, or a general one.
pub fn node(cluster: &str, group: Option<&str>, ordinal: u16) -> String {
    format!("{}-{ordinal}", stateful_set(cluster, group))
}

/// The PodDisruptionBudget.
pub fn pod_disruption_budget(cluster: &str) -> String {
    cluster.to_owned()
}

/// The ShardMap of a page.
pub fn shard_map(cluster: &str, page: u16) -> String {
    format!("{cluster}-{page}")
}

/// The headless Service.
pub fn mesh_service(cluster: &str) -> String {
    format!("{cluster}-mesh")
}

/// The Service for clients.
pub fn gateway_service(cluster: &str) -> String {
    format!("{cluster}-gateway")
}

/// What belongs to the node program: ServiceAccount, Role, RoleBinding, ConfigMap, NetworkPolicy.
pub fn node_objects(cluster: &str) -> String {
    format!("{cluster}-node")
}

/// The Secret with the certificate of the nodes.
pub fn node_secret(cluster: &str) -> String {
    format!("{cluster}-node-tls")
}

/// The Secret with the certificate by which a person's `kubectl greenroom` is let in.
pub fn admin_secret(cluster: &str) -> String {
    format!("{cluster}-admin-tls")
}

/// The selector of a cluster's pods.
pub fn pod_selector(cluster: &str) -> String {
    format!("{CLUSTER_LABEL}={cluster},app.kubernetes.io/component={NODE_COMPONENT}")
}

/// Who somebody is, as a DNS name in the certificate. All certificates come from the operator's own authority, so the
/// name alone says what its holder may do.
pub mod identity {
    /// The nodes of a cluster: they may open links to each other, and answer the admin service.
    pub fn node(cluster: &str, namespace: &str) -> String {
        format!("node.{cluster}.{namespace}.greenroom.internal")
    }

    /// Whoever administers one cluster: may ask its nodes everything.
    pub fn admin(cluster: &str, namespace: &str) -> String {
        format!("admin.{cluster}.{namespace}.greenroom.internal")
    }

    /// The operator: may ask every node everything.
    pub const OPERATOR: &str = "operator.greenroom.internal";

    /// The placement API: may ask every node what it holds, and change nothing.
    pub const PLACEMENT_API: &str = "placement-api.greenroom.internal";
}
