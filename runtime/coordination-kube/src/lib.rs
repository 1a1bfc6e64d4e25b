//! The Kubernetes back end of `Coordination`.
