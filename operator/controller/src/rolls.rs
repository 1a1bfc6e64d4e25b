//! How long a roll takes per pod: from the deletion of its pod until the next one's node serves.

use std::collections::HashMap;
use std::time::Instant;

use greenroom_operator_plan::observed::Observed;
use greenroom_operator_plan::step::PodRef;
use kube::ResourceExt;
use parking_lot::Mutex;

use crate::metrics::Metrics;
use crate::watches::ClusterRef;

/// Pods that were deleted and whose successors do not serve yet.
#[derive(Debug, Default)]
pub(crate) struct Rolls(Mutex<HashMap<ClusterRef, HashMap<String, Deleted>>>);

#[derive(Debug)]
struct Deleted {
    uid: String,
    at: Instant,
}

impl Rolls {
    /// The pod was deleted just now.
    pub(crate) fn deleted(&self, cluster: &ClusterRef, pod: &PodRef) {
        let deleted = Deleted { uid: pod.uid.clone(), at: Instant::now() };
        self.0.lock().entry(cluster.clone()).or_default().insert(pod.name.clone(), deleted);
    }

    /// Looks whether successors serve by now.
    pub(crate) fn look(&self, cluster: &ClusterRef, observed: &Observed, metrics: &Metrics) {
        let mut rolls = self.0.lock();
        let Some(waiting) = rolls.get_mut(cluster) else { return };
        waiting.retain(|name, deleted| {
            let another = |pod: &&k8s_openapi::api::core::v1::Pod| {
                pod.name_any() == *name && pod.uid().is_some_and(|uid| uid != deleted.uid)
            };
            let serves = observed.pods.iter().find(another).is_some()
                && observed
                    .nodes
                    .get(name)
                    .is_some_and(|node| node.phase == "Active" && node.shards_serving == node.shards_owned);
            if serves {
                metrics.roll.with_label_values::<&str>(&[]).observe(deleted.at.elapsed().as_secs_f64());
            }
            !serves
        });
        if waiting.is_empty() {
            rolls.remove(cluster);
        }
    }

    /// The cluster is gone.
    pub(crate) fn forget(&self, cluster: &ClusterRef) {
        self.0.lock().remove(cluster);
    }
}
