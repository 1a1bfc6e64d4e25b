//! The settings of the nodes, as the file that each of them reads.

use greenroom_crds::{Engine, NodeGroup, names};
use serde_json::{Value, json};

use super::{Target, labels};

/// How long the running turns of a node may take when it stops, in seconds, unless `env` says otherwise.
pub(super) const DRAIN_SECONDS: u64 = 30;

/// One file, the same for all nodes; who a node is, its environment says.
pub(super) fn build(target: Target) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": labels::metadata(target, names::node_objects(target.name())),
        "data": {(names::CONFIG_FILE): file(target)},
    })
}

/// The file. A node reads it when it starts, so a change of it restarts the nodes: the pod template has its hash.
pub(super) fn file(target: Target) -> String {
    let spec = target.spec();
    let engine = if spec.storage.engine == Engine::Memory { "memory" } else { "sqlite" };
    let listen = |(_, port): (&str, u16)| format!("0.0.0.0:{port}");
    let mut settings = vec![
        // In quotes: a cluster may be called `null`.
        ("cluster", format!("\"{}\"", target.name())),
        ("replicas", spec.replicas.to_string()),
        ("shards", spec.shards.to_string()),
        ("storageEngine", engine.to_owned()),
        ("dataDir", names::DATA_DIR.to_owned()),
        ("coordination", "kubernetes".to_owned()),
        ("tlsDir", names::TLS_DIR.to_owned()),
        ("gatewayListen", listen(names::GATEWAY_PORT)),
        ("meshListen", listen(names::MESH_PORT)),
        ("adminListen", listen(names::ADMIN_PORT)),
        ("healthListen", listen(names::HEALTH_PORT)),
        ("drainSeconds", DRAIN_SECONDS.to_string()),
        ("logFormat", "json".to_owned()),
    ];
    if !spec.groups.is_empty() {
        settings.push(("groups", groups(&spec.groups)));
    }
    settings.into_iter().map(|(setting, value)| format!("{setting}: {value}\n")).collect()
}

/// As a list in flow style. In quotes: a group may be called `null`, too.
fn groups(groups: &[NodeGroup]) -> String {
    let one = |NodeGroup { name, shards, replicas, .. }: &NodeGroup| {
        format!("{{name: \"{name}\", shards: {shards}, replicas: {replicas}}}")
    };
    format!("[{}]", groups.iter().map(one).collect::<Vec<_>>().join(", "))
}
