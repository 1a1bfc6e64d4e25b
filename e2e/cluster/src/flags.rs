//! The command lines of the control plane, as functions from what differs between clusters to arguments.
//!
//! Flags that stand for a lesson say it; the others are what any installation sets.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Files of the control plane in its folder: who writes them and who is told their names must agree.
pub(crate) mod file {
    pub(crate) const CA: &str = "ca.crt";
    pub(crate) const CA_KEY: &str = "ca.key";
    pub(crate) const FRONT_PROXY_CA: &str = "front-proxy-ca.crt";
    pub(crate) const TOKEN_PUBLIC: &str = "tokens.pub";
    pub(crate) const TOKEN_PRIVATE: &str = "tokens.key";
    pub(crate) const AUDIT_POLICY: &str = "audit-policy.json";
    pub(crate) const AUDIT_LOG: &str = "audit.log";
}

/// Who each request came from and what it asked, not what was in it; one line when it is answered.
pub(crate) const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata"}]
}
"#;

/// A flag with a value.
macro_rules! flag {
    ($name:literal, $value:expr) => {
        format!(concat!("--", $name, "={}"), $value)
    };
}

/// Plain HTTP on loopback. It never syncs: a control plane here need not outlive its machine.
pub(crate) fn etcd(data: &Path, client_port: u16, peer_port: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{client_port}"), format!("http://127.0.0.1:{peer_port}"));
    vec![
        flag!("name", "local"),
        flag!("data-dir", data.display()),
        flag!("listen-client-urls", client),
        flag!("advertise-client-urls", client),
        flag!("listen-peer-urls", peer),
        flag!("initial-advertise-peer-urls", peer),
        flag!("initial-cluster", format!("local={peer}")),
        flag!("unsafe-no-fsync", true),
        flag!("log-level", "warn"),
    ]
}

/// What differs between API servers.
pub(crate) struct ApiServer<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) etcd_port: u16,
    pub(crate) service_range: &'a str,
    /// Keys and certificates.
    pub(crate) pki: &'a Path,
    pub(crate) audit_log: &'a Path,
}

pub(crate) fn api_server(server: &ApiServer<'_>) -> Vec<String> {
    let pki = |name: &str| server.pki.join(name).display().to_string();
    vec![
        flag!("bind-address", server.listen.ip()),
        flag!("advertise-address", server.listen.ip()),
        flag!("secure-port", server.listen.port()),
        flag!("etcd-servers", format!("http://127.0.0.1:{}", server.etcd_port)),
        flag!("service-cluster-ip-range", server.service_range),
        flag!("client-ca-file", pki(file::CA)),
        flag!("tls-cert-file", pki("apiserver.crt")),
        flag!("tls-private-key-file", pki("apiserver.key")),
        flag!("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        flag!("service-account-key-file", pki(file::TOKEN_PUBLIC)),
        flag!("service-account-signing-key-file", pki(file::TOKEN_PRIVATE)),
        flag!("authorization-mode", "Node,RBAC"),
        // It adds to the plugins that are on anyway.
        flag!("enable-admission-plugins", "NodeRestriction"),
        flag!("allow-privileged", true),
        flag!("requestheader-client-ca-file", pki(file::FRONT_PROXY_CA)),
        flag!("requestheader-allowed-names", "front-proxy-client"),
        flag!("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        flag!("requestheader-group-headers", "X-Remote-Group"),
        flag!("requestheader-username-headers", "X-Remote-User"),
        flag!("proxy-client-cert-file", pki("front-proxy-client.crt")),
        flag!("proxy-client-key-file", pki("front-proxy-client.key")),
        // The API server's host has no kube-proxy: it must find the pods behind a Service by itself.
        flag!("enable-aggregator-routing", true),
        flag!("audit-policy-file", pki(file::AUDIT_POLICY)),
        flag!("audit-log-path", server.audit_log.display()),
        flag!("profiling", false),
    ]
}

/// What an API server without nodes leaves out.
pub(crate) fn without_nodes(has_controllers: bool) -> Vec<String> {
    // Its Service `kubernetes` may not point to a loopback address, and nobody would use it.
    let mut flags = vec![flag!("endpoint-reconciler-type", "none")];
    if !has_controllers {
        // Nobody makes the default service accounts, without which every pod would be refused.
        flags.push(flag!("disable-admission-plugins", "ServiceAccount"));
    }
    flags
}

/// What an API server with nodes needs: it talks to the kubelets, and notices soon that they are gone.
pub(crate) fn with_nodes(pki: &Path) -> Vec<String> {
    let pki = |name: &str| pki.join(name).display().to_string();
    vec![
        flag!("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
        flag!("kubelet-client-key", pki("apiserver-kubelet-client.key")),
        flag!("kubelet-certificate-authority", pki(file::CA)),
        flag!("kubelet-preferred-address-types", "InternalIP"),
        // The default of 300 s would make each loss of a node a test of five minutes.
        flag!("default-not-ready-toleration-seconds", 10),
        flag!("default-unreachable-toleration-seconds", 10),
    ]
}

pub(crate) fn controller_manager(kubeconfig: &Path, port: u16, pki: &Path) -> Vec<String> {
    let pki = |name: &str| pki.join(name).display().to_string();
    let mut flags = component(kubeconfig, port);
    flags.extend([
        // The default of 20 requests a second delays the first service accounts, and so the first pods, by 3 s.
        flag!("kube-api-qps", 200),
        flag!("kube-api-burst", 400),
        flag!("use-service-account-credentials", true),
        flag!("root-ca-file", pki(file::CA)),
        flag!("client-ca-file", pki(file::CA)),
        flag!("requestheader-client-ca-file", pki(file::FRONT_PROXY_CA)),
        flag!("service-account-private-key-file", pki(file::TOKEN_PRIVATE)),
        flag!("cluster-signing-cert-file", pki(file::CA)),
        flag!("cluster-signing-key-file", pki(file::CA_KEY)),
        // Each node's pod range stands in its CNI file.
        flag!("allocate-node-cidrs", false),
        // A silent node is found after 16 s, not 50.
        flag!("node-monitor-period", "1s"),
        flag!("node-monitor-grace-period", "16s"),
        flag!("node-startup-grace-period", "20s"),
        flag!("horizontal-pod-autoscaler-sync-period", "5s"),
        flag!("horizontal-pod-autoscaler-cpu-initialization-period", "10s"),
        flag!("horizontal-pod-autoscaler-initial-readiness-delay", "5s"),
        flag!("horizontal-pod-autoscaler-downscale-stabilization", "10s"),
    ]);
    flags
}

pub(crate) fn scheduler(kubeconfig: &Path, port: u16) -> Vec<String> {
    component(kubeconfig, port)
}

fn component(kubeconfig: &Path, port: u16) -> Vec<String> {
    let kubeconfig = kubeconfig.display();
    vec![
        flag!("kubeconfig", kubeconfig),
        flag!("authentication-kubeconfig", kubeconfig),
        flag!("authorization-kubeconfig", kubeconfig),
        flag!("bind-address", IpAddr::from([127, 0, 0, 1])),
        flag!("secure-port", port),
        // There is one of each: waiting for a lease would only cost seconds.
        flag!("leader-elect", false),
        flag!("profiling", false),
    ]
}
