//! The configuration files of a node's daemons. Settings that stand for a lesson say it.

use std::path::Path;

use serde_json::{Value, json};

use crate::network::{self, NodeNumber};

/// The image of every pod's first container. It only has to exist on the node.
pub(crate) const PAUSE_IMAGE: &str = "cluster.local/pause:1";

/// Where containerd listens, seen from the node.
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Where volumes lie, seen from the node.
pub(crate) const VOLUMES: &str = "/var/lib/volumes";

/// `restrict_oom_score_adj`: runc gives a pod's first container a score of -998, which takes CAP_SYS_RESOURCE. Where
/// root lacks it, no sandbox starts, and all that is said is "can't get final child's PID from pipe: EOF".
pub(super) fn containerd(cni_conf: &Path) -> String {
    format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{cni_conf}"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"
"#,
        cni_conf = cni_conf.display()
    )
}

/// Pods of a node share a bridge, and get their addresses from a range of the node's own. The leases lie in `/run`,
/// so that a reboot frees them.
pub(super) fn cni(node: NodeNumber) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                // A pod may reach itself through its own Service.
                "hairpinMode": true,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-ipam",
                    "ranges": [[{"subnet": node.pods()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

/// `cgroup` is the node's own: two kubelets under one root would remove each other's pods.
pub(super) fn kubelet(node: NodeNumber, cgroup: &str, pki: &Path) -> Value {
    let pki = |name: &str| pki.join(name);
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address(),
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki(&format!("{}.crt", node.name())),
        "tlsPrivateKeyFile": pki(&format!("{}.key", node.name())),
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": ["pods"],
        // Since 1.35 it refuses cgroup v1 unless told not to.
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDNS": [network::DNS_SERVICE],
        "clusterDomain": "cluster.local",
        // This machine's servers cannot be reached from a node, and would only delay a negative answer.
        "resolvConf": "",
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        // A full disk of a build machine must not taint the node.
        "evictionHard": {
            "memory.available": "200Mi", "nodefs.available": "100Mi", "nodefs.inodesFree": "1%", "imagefs.available": "100Mi",
        },
        // An image that was collected could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "4s",
        "nodeLeaseDurationSeconds": 8,
        "syncFrequency": "10s",
        "maxPods": 60,
        // Else each node would promise the whole machine.
        "systemReserved": {"cpu": "200m", "memory": "1Gi"},
        // Both take CAP_SYS_RESOURCE when they ask for more.
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
    })
}

pub(super) fn kube_proxy(node: NodeNumber, kubeconfig: &Path) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "mode": "nftables",
        "clusterCIDR": network::POD_RANGE,
        "hostnameOverride": node.name(),
        // The machine's own setting cannot be written from a child network namespace.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": [network::NODE_RANGE],
    })
}
