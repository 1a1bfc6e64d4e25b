//! Step 1 of a reconcile: what the cluster looks like now. Objects come from the caches, nodes are asked.

use greenroom_crds::ActorCluster;
use greenroom_operator_plan::observed::Observed;
use greenroom_operator_plan::step::ObjectKey;
use kube::ResourceExt;
use kube::core::TypeMeta;
use kube::runtime::reflector::ObjectRef;

use crate::kinds::api_resource;
use crate::nodes::Nodes;
use crate::watches::Caches;

/// Looks at the caches, and asks every node that may answer.
pub(crate) async fn observe(cluster: &ActorCluster, caches: &Caches, nodes: &Nodes) -> Observed {
    let reference = ObjectRef::from_obj(cluster);
    let pods = caches.pods(&reference);
    let reports = nodes.reports(cluster, &pods).await;
    let children = caches.children(&reference).into_iter().map(|(kind, child)| {
        let mut child = (*child).clone();
        // Objects in lists do not say what they are.
        let resource = api_resource(kind);
        child.types = Some(TypeMeta { api_version: resource.api_version, kind: resource.kind });
        let key = ObjectKey { kind, name: child.name_any() };
        (key, serde_json::to_value(child).expect("it was JSON before"))
    });
    Observed {
        cluster: cluster.clone(),
        children: children.collect(),
        pods,
        pages: caches.pages(&reference),
        foreign: caches.foreign(&reference),
        nodes: reports,
    }
}
