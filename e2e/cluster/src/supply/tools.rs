//! The programs that can be built, and which upstream package each is.

/// A program from a Go module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after the program that it is")]
pub enum Tool {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kubelet,
    KubeProxy,
    Kubectl,
    Kubeadm,
    Containerd,
    ContainerdShim,
    Ctr,
    Crictl,
    Helm,
    Kind,
    Coredns,
    LocalPathProvisioner,
}

/// What a cluster of plain processes runs.
pub const CORE: [Tool; 10] = [
    Tool::Etcd,
    Tool::KubeApiserver,
    Tool::KubeControllerManager,
    Tool::KubeScheduler,
    Tool::Kubelet,
    Tool::KubeProxy,
    Tool::Kubectl,
    Tool::Containerd,
    Tool::ContainerdShim,
    Tool::Ctr,
];

const OTHERS: [Tool; 6] =
    [Tool::Kubeadm, Tool::Crictl, Tool::Helm, Tool::Kind, Tool::Coredns, Tool::LocalPathProvisioner];

impl Tool {
    /// Every tool.
    pub fn all() -> impl Iterator<Item = Self> {
        CORE.into_iter().chain(OTHERS)
    }

    /// The name of the program.
    #[must_use]
    pub fn name(self) -> &'static str {
        let package = self.package();
        match self {
            // The package is called after its major version.
            Self::Etcd => "etcd",
            _ => package.rsplit('/').next().unwrap_or(package),
        }
    }

    /// The Go package that it is built from.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::KubeScheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubelet => "k8s.io/kubernetes/cmd/kubelet",
            Self::KubeProxy => "k8s.io/kubernetes/cmd/kube-proxy",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::Kubeadm => "k8s.io/kubernetes/cmd/kubeadm",
            Self::Containerd => "github.com/containerd/containerd/v2/cmd/containerd",
            Self::ContainerdShim => "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            Self::Ctr => "github.com/containerd/containerd/v2/cmd/ctr",
            Self::Crictl => "sigs.k8s.io/cri-tools/cmd/crictl",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
            Self::Kind => "sigs.k8s.io/kind",
            Self::Coredns => "github.com/coredns/coredns",
            Self::LocalPathProvisioner => "github.com/rancher/local-path-provisioner",
        }
    }

    /// The upstream module that its version is the version of.
    pub(super) fn upstream(self) -> &'static str {
        match self.package().split_once("/cmd/") {
            Some((module, _)) => module,
            None => self.package(),
        }
    }

    /// The folder in `tools/` with its `go.mod`; also the folder in the cache.
    pub(super) fn module(self) -> String {
        match self {
            Self::Etcd => "etcd".to_owned(),
            Self::Containerd | Self::ContainerdShim | Self::Ctr => "containerd".to_owned(),
            Self::Crictl => "cri-tools".to_owned(),
            Self::Helm => "helm".to_owned(),
            Self::Kind => "kind".to_owned(),
            Self::Coredns => "coredns".to_owned(),
            Self::LocalPathProvisioner => "local-path-provisioner".to_owned(),
            _ => format!("kubernetes-{}", kubernetes_minor()),
        }
    }
}

/// The version of Kubernetes: `$GREENROOM_KUBERNETES`, such as `1.35`, else the newest that we pin.
fn kubernetes_minor() -> String {
    let asked = std::env::var("GREENROOM_KUBERNETES").ok().filter(|minor| !minor.is_empty());
    asked.unwrap_or_else(|| "1.36".to_owned())
}
