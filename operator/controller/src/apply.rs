//! Step 3 of a reconcile: carries the plan's steps out, in order. The first that fails ends the attempt.
//!
//! Objects are applied server-side under one field manager, which takes over what the plan owns and leaves the rest.
//! What destroys is bound to what the plan saw (uid, and for pods the version), and the Lease is read again before it:
//! the fence knows only what this process believes.

use greenroom_crds::{ActorCluster, ShardMap};
use greenroom_operator_plan::step::{ObjectKey, PodRef, Step};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde_json::Value;
use tracing::info;

use crate::error::{Error, status_code};
use crate::kinds::api_resource;
use crate::nodes::Drained;
use crate::reconcile::Context;
use crate::watches::Watched;

/// The field manager of everything but statuses.
pub(crate) const FIELD_MANAGER: &str = "greenroom-operator";

/// How the steps ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All are done.
    Done,
    /// The rest must wait, for this reason.
    Wait(&'static str),
}

/// Carries the steps out.
pub(crate) async fn apply(
    cluster: &ActorCluster,
    steps: Vec<Step>,
    context: &Context,
) -> Result<Outcome, Error> {
    let apply = Apply { cluster, namespace: cluster.namespace().unwrap_or_default(), context };
    for step in steps {
        let name = step_name(&step);
        let outcome = apply.step(step).await?;
        if let Outcome::Wait(_) = outcome {
            return Ok(outcome);
        }
        context.metrics.steps.with_label_values(&[name]).inc();
    }
    Ok(Outcome::Done)
}

fn step_name(step: &Step) -> &'static str {
    match step {
        Step::Apply { .. } => "Apply",
        Step::Prune { .. } => "Prune",
        Step::CreatePage(_) => "CreatePage",
        Step::Drain { .. } => "Drain",
        Step::DeletePod { .. } => "DeletePod",
    }
}

struct Apply<'a> {
    cluster: &'a ActorCluster,
    namespace: String,
    context: &'a Context,
}

impl Apply<'_> {
    async fn step(&self, step: Step) -> Result<Outcome, Error> {
        match step {
            Step::Apply { key, object } => self.apply(&key, &object).await,
            Step::Prune { key, uid } => self.prune(&key, uid).await,
            Step::CreatePage(page) => self.create_page(&page).await,
            Step::Drain { pod } => self.drain(&pod).await,
            Step::DeletePod { pod } => self.delete_pod(pod).await,
        }
    }

    fn children(&self, key: &ObjectKey) -> Api<DynamicObject> {
        let client = self.context.clients.writer.clone();
        Api::namespaced_with(client, &self.namespace, &api_resource(key.kind))
    }

    fn wrote(&self, watched: Watched, object: &impl ResourceExt) {
        let version = object.resource_version();
        self.context.caches.wrote(&ObjectRef::from_obj(self.cluster), watched, version.as_deref());
    }

    async fn apply(&self, key: &ObjectKey, object: &Value) -> Result<Outcome, Error> {
        let what = || format!("apply {:?} {}", key.kind, key.name);
        let applied = match self.server_side(key, object).await {
            Err(error) if status_code(&error) == Some(422) => {
                self.put_back(key, object).await.map_err(|_| error)
            }
            applied => applied,
        };
        self.wrote(Watched::Child(key.kind), &applied.map_err(Error::api(what()))?);
        Ok(Outcome::Done)
    }

    async fn server_side(&self, key: &ObjectKey, object: &Value) -> kube::Result<DynamicObject> {
        let how = PatchParams::apply(FIELD_MANAGER).force();
        self.children(key).patch(&key.name, &how, &Patch::Apply(object)).await
    }

    /// Entries that somebody has put into a list of ours may contradict our own: a port of another number with the
    /// name of ours. Server-side apply never removes what others own, so the lists are put back as a whole first.
    async fn put_back(&self, key: &ObjectKey, object: &Value) -> kube::Result<DynamicObject> {
        let how = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        self.children(key).patch(&key.name, &how, &Patch::Merge(object)).await?;
        self.server_side(key, object).await
    }

    async fn prune(&self, key: &ObjectKey, uid: String) -> Result<Outcome, Error> {
        self.context.leader.confirm().await?;
        let only = Preconditions { uid: Some(uid), resource_version: None };
        let how = DeleteParams::background().preconditions(only);
        match self.children(key).delete(&key.name, &how).await {
            Ok(deleted) => {
                deleted.map_left(|object| self.wrote(Watched::Child(key.kind), &object));
                info!(kind = ?key.kind, name = key.name, "deleted what the cluster no longer needs");
                Ok(Outcome::Done)
            }
            Err(error) => gone_or_changed(error, || format!("delete {:?} {}", key.kind, key.name)),
        }
    }

    async fn create_page(&self, page: &ShardMap) -> Result<Outcome, Error> {
        let pages: Api<ShardMap> = Api::namespaced(self.context.clients.writer.clone(), &self.namespace);
        let how = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match pages.create(&how, page).await {
            Ok(page) => self.wrote(Watched::Pages, &page),
            // The nodes own it from then on; whatever is in it is theirs.
            Err(error) if status_code(&error) == Some(409) => {}
            Err(error) => return Err(Error::api(format!("create ShardMap {}", page.name_any()))(error)),
        }
        Ok(Outcome::Done)
    }

    async fn drain(&self, pod: &PodRef) -> Result<Outcome, Error> {
        self.context.leader.confirm().await?;
        match self.context.nodes.drain(self.cluster, pod, &self.context.caches).await? {
            Drained::Yes => Ok(Outcome::Done),
            Drained::StillRunning => Ok(Outcome::Wait("Draining")),
        }
    }

    async fn delete_pod(&self, pod: PodRef) -> Result<Outcome, Error> {
        self.context.leader.confirm().await?;
        let pods: Api<Pod> = Api::namespaced(self.context.clients.writer.clone(), &self.namespace);
        let only = Preconditions {
            uid: Some(pod.uid.clone()),
            resource_version: Some(pod.resource_version.clone()),
        };
        let how = DeleteParams::default().preconditions(only);
        match pods.delete(&pod.name, &how).await {
            Ok(deleted) => {
                deleted.map_left(|object| self.wrote(Watched::Pods, &object));
                self.context.rolls.deleted(&ObjectRef::from_obj(self.cluster), &pod);
                info!(pod = pod.name, "deleted a pod whose node had drained");
                Ok(Outcome::Done)
            }
            Err(error) => gone_or_changed(error, || format!("delete Pod {}", pod.name)),
        }
    }
}

/// What is to be deleted may be gone already; if it is another one by now, the next plan decides about it.
fn gone_or_changed(error: kube::Error, what: impl FnOnce() -> String) -> Result<Outcome, Error> {
    match status_code(&error) {
        Some(404) => Ok(Outcome::Done),
        Some(409) => Ok(Outcome::Wait("Changed")),
        _ => Err(Error::api(what())(error)),
    }
}
