//! A model of what surrounds the operator: an API server, the controller of StatefulSets, kubelets and nodes.
//!
//! Each part makes one move at a time, so a test can let them act in any order, and stop the operator between two steps.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use greenroom_crds::{ActorCluster, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Map, Value, json};

use super::{SMALLEST, at, cluster, settings};
use crate::hash;
use crate::observed::{NodeReport, Observed, PageSeen, Settings};
use crate::plan::plan;
use crate::step::{Event, Kind, ObjectKey, Plan, Step};

/// A pod, and the node in it.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) uid: u64,
    pub(super) version: u64,
    pub(super) group: Option<String>,
    pub(super) revision: String,
    pub(super) hash: Value,
    pub(super) image: String,
    pub(super) stage: Stage,
    pub(super) ending: bool,
    pub(super) activations: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Made,
    Joining,
    Active,
    Draining,
    Drained,
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) cluster: ActorCluster,
    pub(super) settings: Settings,
    pub(super) children: BTreeMap<ObjectKey, Value>,
    pub(super) pages: Vec<PageSeen>,
    pub(super) pods: BTreeMap<String, Pod>,
    pub(super) foreign: BTreeMap<String, String>,
    pub(super) now: i64,
    /// What was applied last, as the API server's field management knows it.
    applied: BTreeMap<ObjectKey, Value>,
    numbers: u64,
}

impl World {
    /// One in which the smallest cluster has been made and serves.
    pub(super) fn made() -> Self {
        static MADE: LazyLock<World> = LazyLock::new(|| {
            let mut world = World::new(cluster(SMALLEST));
            world.converge();
            world
        });
        MADE.clone()
    }

    pub(super) fn new(cluster: ActorCluster) -> Self {
        Self {
            cluster,
            settings: settings(),
            children: BTreeMap::new(),
            pages: Vec::new(),
            pods: BTreeMap::new(),
            foreign: BTreeMap::new(),
            now: 0,
            applied: BTreeMap::new(),
            numbers: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut ActorCluster)) {
        edit(&mut self.cluster);
        *self.cluster.metadata.generation.get_or_insert(0) += 1;
    }

    /// Somebody else changes a field of the StatefulSet.
    pub(super) fn tamper(&mut self, pointer: &str, value: Value) {
        let live = self.children.get_mut(&stateful_set(&self.cluster)).unwrap();
        *live.pointer_mut(pointer).unwrap() = value;
        bump(live, &pointer[1..5]);
    }

    pub(super) fn observed(&self) -> Observed {
        let active = |pod: &Pod| !matches!(pod.stage, Stage::Made) && !pod.ending;
        Observed {
            cluster: self.cluster.clone(),
            children: self.children.clone(),
            pods: self.pods.iter().map(|(name, pod)| pod.object(name)).collect(),
            pages: self.pages.clone(),
            foreign: self.foreign.clone(),
            nodes: self
                .pods
                .iter()
                .filter(|(_, pod)| active(pod))
                .map(|(name, pod)| (name.clone(), pod.report()))
                .collect(),
        }
    }

    pub(super) fn plan(&self) -> Plan {
        plan(&self.observed(), &self.settings, at(self.now))
    }

    /// The operator does at most so many of a plan's steps; if it gets through, it writes the status.
    pub(super) fn carry_out(&mut self, plan: &Plan, at_most: usize) {
        for step in plan.steps.iter().take(at_most) {
            if !self.step(step) {
                return;
            }
        }
        if plan.steps.len() <= at_most {
            self.cluster.status = Some(plan.status.clone());
        }
    }

    /// False if the step ended the attempt.
    fn step(&mut self, step: &Step) -> bool {
        match step {
            Step::Apply { key, object } => self.apply(key, object),
            Step::Prune { key, .. } => drop(self.children.remove(key)),
            Step::CreatePage(page) => {
                self.pages.push(PageSeen::from_metadata(&page.spec.cluster, &page.metadata).unwrap());
            }
            Step::Drain { pod } => {
                if let Some(pod) = self.pods.get_mut(&pod.name).filter(|it| it.uid.to_string() == pod.uid) {
                    if pod.stage == Stage::Active {
                        pod.stage = Stage::Draining;
                    }
                    return pod.stage == Stage::Drained;
                }
            }
            Step::DeletePod { pod } => {
                let same = |it: &Pod| (it.uid.to_string(), it.version.to_string());
                let wanted = (pod.uid.clone(), pod.resource_version.clone());
                if let Some(pod) = self.pods.get_mut(&pod.name).filter(|it| same(it) == wanted) {
                    pod.ending = true;
                }
            }
        }
        true
    }

    /// Server-side apply by one manager: what it no longer says is taken out, all else of the object stays.
    fn apply(&mut self, key: &ObjectKey, object: &Value) {
        let number = self.number();
        let before = self.applied.insert(key.clone(), object.clone()).unwrap_or(Value::Null);
        let live = self.children.entry(key.clone()).or_insert_with(|| {
            json!({"metadata": {"uid": format!("uid-{number}"), "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 0}})
        });
        let spec = live["spec"].clone();
        merge(live, &before, object);
        default(live);
        live["metadata"]["resourceVersion"] = number.to_string().into();
        if live["spec"] != spec {
            bump(live, "spec");
        }
    }

    /// The controller of StatefulSets: sees the object, makes a pod that is missing, lets go one that is ending.
    pub(super) fn control(&mut self) {
        self.pods.retain(|_, pod| !pod.ending);
        let sets: Vec<_> =
            self.children.keys().filter(|key| key.kind == Kind::StatefulSet).cloned().collect();
        sets.iter().for_each(|key| self.control_set(key));
    }

    fn control_set(&mut self, key: &ObjectKey) {
        let Some(live) = self.children.get_mut(key) else { return };
        let template = live["spec"]["template"].clone();
        let revision = hash::of(&template);
        live["status"] =
            json!({"observedGeneration": live["metadata"]["generation"], "updateRevision": revision});
        let replicas = live["spec"]["replicas"].as_u64().unwrap();
        let group = template["metadata"]["labels"][names::GROUP_LABEL].as_str().map(str::to_owned);
        for ordinal in 0..replicas {
            let (uid, version) = (self.number(), self.number());
            let image = template["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
            let hash = template["metadata"]["annotations"][names::HASH_ANNOTATION].clone();
            let (stage, revision, group) = (Stage::Made, revision.clone(), group.clone());
            self.pods.entry(format!("{}-{ordinal}", key.name)).or_insert(Pod {
                uid,
                version,
                group,
                revision,
                hash,
                image,
                stage,
                ending: false,
                activations: 0,
            });
        }
    }

    /// A pod goes on by one stage. One whose image says so never becomes more than made.
    pub(super) fn go_on(&mut self, name: &str) {
        let version = self.number();
        let Some(pod) = self.pods.get_mut(name) else { return };
        pod.version = version;
        pod.stage = match pod.stage {
            Stage::Made if pod.image.contains("broken") => Stage::Made,
            Stage::Made => Stage::Joining,
            Stage::Joining => Stage::Active,
            Stage::Active => Stage::Active,
            Stage::Draining | Stage::Drained => Stage::Drained,
        };
    }

    /// Everybody acts in turn until nothing changes any more.
    pub(super) fn converge(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..200 {
            self.now += 2;
            let plan = self.plan();
            let quiet = plan.steps.is_empty() && self.cluster.status.as_ref() == Some(&plan.status);
            events.extend(plan.events.clone());
            self.carry_out(&plan, usize::MAX);
            self.control();
            let names: Vec<_> = self.pods.keys().cloned().collect();
            let stages: Vec<_> = self.pods.values().map(|pod| pod.stage).collect();
            names.iter().for_each(|name| self.go_on(name));
            if quiet && stages.iter().eq(self.pods.values().map(|pod| &pod.stage)) {
                return events;
            }
        }
        panic!("it does not come to rest: {:?}", self.plan());
    }

    pub(super) fn condition(&self, kind: &str) -> &Condition {
        let status = self.cluster.status.as_ref().unwrap();
        status.conditions.iter().find(|condition| condition.type_ == kind).unwrap()
    }

    pub(super) fn serving(&self) -> usize {
        self.pods.values().filter(|pod| pod.serves()).count()
    }
}

fn stateful_set(cluster: &ActorCluster) -> ObjectKey {
    ObjectKey { kind: Kind::StatefulSet, name: cluster.metadata.name.clone().unwrap() }
}

fn bump(live: &mut Value, part: &str) {
    if part == "spec" {
        live["metadata"]["generation"] = (live["metadata"]["generation"].as_u64().unwrap() + 1).into();
    }
}

impl Pod {
    pub(super) fn serves(&self) -> bool {
        self.stage == Stage::Active && !self.ending
    }

    fn object(&self, name: &str) -> k8s_openapi::api::core::v1::Pod {
        let state = match self.stage {
            Stage::Made if self.image.contains("broken") => {
                json!({"waiting": {"reason": "ImagePullBackOff"}})
            }
            Stage::Made => json!({"waiting": {"reason": "ContainerCreating"}}),
            _ => json!({"running": {}}),
        };
        let ready = if self.stage == Stage::Active { "True" } else { "False" };
        let mut metadata = json!({
            "name": name,
            "uid": self.uid.to_string(),
            "resourceVersion": self.version.to_string(),
            "labels": {"controller-revision-hash": self.revision},
            "annotations": {(names::HASH_ANNOTATION): self.hash},
        });
        if let Some(group) = &self.group {
            metadata["labels"][names::GROUP_LABEL] = group.as_str().into();
        }
        if self.ending {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let pod = json!({
            "metadata": metadata,
            "spec": {"containers": [], "nodeName": "host-1"},
            "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{
                    "name": "node", "image": self.image, "imageID": "", "ready": ready == "True",
                    "restartCount": 0, "state": state,
                }],
            },
        });
        serde_json::from_value(pod).unwrap()
    }

    fn report(&self) -> NodeReport {
        NodeReport {
            phase: format!("{:?}", self.stage),
            store: format!("store-{}", self.uid),
            incarnation: 1,
            shards_owned: 10,
            shards_serving: if self.stage == Stage::Active { 10 } else { 0 },
            activations_by_type: [("Counter".to_owned(), self.activations)].into(),
            version: "0.1.0".into(),
        }
    }
}

/// Takes out of `live` what was said before and is not said now, and puts in what is said now.
fn merge(live: &mut Value, before: &Value, now: &Value) {
    let Value::Object(fields) = now else {
        *live = now.clone();
        return;
    };
    if !live.is_object() {
        *live = Map::new().into();
    }
    let there = live.as_object_mut().unwrap();
    for field in before.as_object().into_iter().flat_map(Map::keys).filter(|it| !fields.contains_key(*it)) {
        there.remove(field);
    }
    for (field, value) in fields {
        let slot = there.entry(field.clone()).or_insert(Value::Null);
        merge(slot, before.get(field).unwrap_or(&Value::Null), value);
    }
}

/// What an API server fills in: enough kinds of it that a careless comparison would notice.
fn default(live: &mut Value) {
    if live["kind"] != "StatefulSet" {
        return;
    }
    live["spec"]["revisionHistoryLimit"] = 10.into();
    live["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
    live["spec"]["template"]["spec"]["containers"][0]["terminationMessagePolicy"] = "File".into();
    for claim in live["spec"]["volumeClaimTemplates"].as_array_mut().into_iter().flatten() {
        claim["status"] = json!({"phase": "Pending"});
    }
}
