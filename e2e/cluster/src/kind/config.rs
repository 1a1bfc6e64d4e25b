//! What kind is told.

/// So many nodes, as kind makes them.
pub(super) fn plain(nodes: u8) -> String {
    let workers = ", {role: worker}".repeat(usize::from(nodes.saturating_sub(1)));
    format!("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{{role: control-plane}}{workers}]\n")
}

/// The repository of the preloaded images. It is a name only: nothing is ever pulled.
pub(super) const REPOSITORY: &str = "kind.local";
/// What CoreDNS is tagged with in the node image.
pub(super) const COREDNS_TAG: &str = "v1.15.0";
/// What etcd is tagged with in the node image.
pub(super) const ETCD_TAG: &str = "3.7.3-0";

/// So many nodes of our own image, reachable at this address of the engine's network.
pub(super) fn for_our_image(nodes: u8, address: &str) -> String {
    plain(nodes)
        + &format!(
            r#"networking:
  apiServerAddress: "{address}"
  # kind looks for a free port by opening one, which at that address only the engine can.
  apiServerPort: 6443
  # kind's own network is in no package registry; `network` connects the nodes.
  disableDefaultCNI: true
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  imageRepository: {REPOSITORY}
  dns: {{imageTag: {COREDNS_TAG}}}
  etcd: {{local: {{imageTag: {ETCD_TAG}}}}}
  controllerManager:
    extraArgs:
    # With 20 requests a second, the default, joining waits 10 s for tokens that are signed late.
    - {{name: kube-api-qps, value: "200"}}
    - {{name: kube-api-burst, value: "400"}}
    # A lost node is noticed after 16 s, not 50.
    - {{name: node-monitor-period, value: 1s}}
    - {{name: node-monitor-grace-period, value: 16s}}
  apiServer:
    extraArgs:
    # And its pods are evicted after 10 s more, not 300.
    - {{name: default-not-ready-toleration-seconds, value: "10"}}
    - {{name: default-unreachable-toleration-seconds, value: "10"}}
- |
  kind: KubeletConfiguration
  # The kernel of a small machine may still have cgroup v1, which the kubelet by default refuses since 1.35.
  failCgroupV1: false
  # No more than the hard limit of a root without CAP_SYS_RESOURCE.
  maxOpenFiles: 20000
  nodeStatusUpdateFrequency: 4s
  nodeLeaseDurationSeconds: 8
"#
        )
}
