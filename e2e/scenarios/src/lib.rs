//! What must hold on a real Kubernetes.
