//! What the controller shall do, in this order, and say about it.
//!
//! Every step may be repeated and may be stopped anywhere: the next plan is made from what is then observed.

use std::time::Duration;

use greenroom_crds::{ActorClusterStatus, ShardMap};

/// Which object: its kind and its name; the namespace is the cluster's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The kind, as in `StatefulSet`.
    pub kind: Kind,
    /// The name.
    pub name: String,
}

/// The kinds of objects that the operator makes for a cluster, in the order in which they are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1`
    ServiceAccount,
    /// `rbac.authorization.k8s.io/v1`
    Role,
    /// `rbac.authorization.k8s.io/v1`
    RoleBinding,
    /// `v1`
    ConfigMap,
    /// `v1`
    Service,
    /// `networking.k8s.io/v1`
    NetworkPolicy,
    /// `policy/v1`
    PodDisruptionBudget,
    /// `apps/v1`
    StatefulSet,
}

/// A pod that a step is about, as it was when the step was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRef {
    /// The name.
    pub name: String,
    /// The uid: a pod of the same name that came later is another one.
    pub uid: String,
    /// The version that the decision was made on.
    pub resource_version: String,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Apply the object, server-side, with the operator's field manager, taking the fields over.
    Apply {
        /// Which.
        key: ObjectKey,
        /// The whole object; no field of it is null.
        object: serde_json::Value,
    },
    /// Delete an object that the cluster no longer needs, if it is still this one.
    Prune {
        /// Which.
        key: ObjectKey,
        /// Its uid.
        uid: String,
    },
    /// Create a page of the shard map; that it exists is success. Pages are never applied again.
    CreatePage(Box<ShardMap>),
    /// Ask the node to take no new calls, finish the running ones and flush. Repeating it is harmless.
    Drain {
        /// Whose node.
        pod: PodRef,
    },
    /// Delete the pod, if it is still this one; its StatefulSet makes the next.
    DeletePod {
        /// Which.
        pod: PodRef,
    },
}

/// Something that a user should be able to read in `kubectl describe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// True for a warning.
    pub warning: bool,
    /// The reason, one of a fixed list.
    pub reason: &'static str,
    /// What was being done, as in `Rolling`.
    pub action: &'static str,
    /// What happened and, for a warning, what to do.
    pub message: String,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In this order; the first that fails ends the attempt.
    pub steps: Vec<Step>,
    /// What to tell. An event is told when all steps of its plan are done.
    pub events: Vec<Event>,
    /// What the cluster's status shall be once the steps are done. Equal to the present one if nothing is to be
    /// written.
    pub status: ActorClusterStatus,
    /// When to look again, if no watch says so earlier.
    pub again_after: Duration,
}
