//! The pods of a cluster, as far as it matters who can be asked.

use std::time::Duration;

use greenroom_crds::names;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use super::api::{ApiError, Deed, answer, within};
use super::connection::Connection;
use super::forward::Forward;
use crate::failure::Result;

/// How long a port-forward may take: a machine that lost its power does not answer, and another pod will.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);

/// The pods of a cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pods {
    api: Api<Pod>,
    namespace: String,
    selector: String,
}

/// A pod with a node in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodePod {
    /// Its name, which is the node's.
    pub(crate) name: String,
    /// Which pod of that name it is.
    pub(crate) uid: String,
    /// True if its program runs.
    pub(crate) running: bool,
    /// True if it serves calls and is to stay.
    pub(crate) ready: bool,
}

impl Pods {
    pub(super) fn of(connection: &Connection, cluster: &str) -> Self {
        Self {
            api: Api::namespaced(connection.client.clone(), &connection.namespace),
            namespace: connection.namespace.clone(),
            selector: names::pod_selector(cluster),
        }
    }

    /// The pods as they are now.
    pub(super) async fn list(&self) -> Result<Vec<NodePod>> {
        self.now().await.map_err(|error| self.listing().failure(&error))
    }

    /// The same for those who try again after an error.
    pub(super) async fn now(&self) -> Result<Vec<NodePod>, ApiError> {
        let pods = answer(self.api.list(&ListParams::default().labels(&self.selector))).await?;
        Ok(pods.items.iter().map(NodePod::from).collect())
    }

    /// A connection to a port of a pod.
    pub(super) async fn forward(&self, pod: &str, port: u16) -> Result<Forward, ApiError> {
        within(FORWARD_TIMEOUT, Forward::open(&self.api, pod, port)).await
    }

    pub(super) fn listing(&self) -> Deed {
        Deed {
            what: format!("list the pods in namespace {}", self.namespace),
            right: format!("list pods in namespace {}", self.namespace),
        }
    }

    /// Older API servers ask for one verb, newer ones for the other, since it is a GET that changes its protocol.
    pub(super) fn forwarding(&self) -> Deed {
        Deed {
            what: format!("forward ports of pods in namespace {}", self.namespace),
            right: format!("get and create pods/portforward in namespace {}", self.namespace),
        }
    }
}

impl From<&Pod> for NodePod {
    fn from(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let condition = |wanted: &str| {
            let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
            conditions.into_iter().any(|condition| condition.type_ == wanted && condition.status == "True")
        };
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            running: status.and_then(|status| status.phase.as_deref()) == Some("Running"),
            ready: condition("Ready") && pod.metadata.deletion_timestamp.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(deleted: Option<&str>, phase: &str, ready: &str) -> NodePod {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "demo-0", "uid": "u", "deletionTimestamp": deleted },
            "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] },
        }))
        .unwrap();
        NodePod::from(&pod)
    }

    #[test]
    fn a_pod_that_goes_away_can_be_asked_but_gets_no_new_calls() {
        let serving = NodePod { name: "demo-0".into(), uid: "u".into(), running: true, ready: true };
        assert_eq!(pod(None, "Running", "True"), serving);
        let draining = NodePod { ready: false, ..serving.clone() };
        assert_eq!(pod(Some("2026-01-01T00:00:00Z"), "Running", "True"), draining);
        assert_eq!(pod(None, "Running", "False"), draining);
        assert_eq!(pod(None, "Pending", "False"), NodePod { running: false, ..draining });
    }
}
