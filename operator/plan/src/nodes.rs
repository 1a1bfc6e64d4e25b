//! How each node of a cluster is, from its pod and from what it said itself.
//!
//! Nothing here depends on time: the same observation always gives the same words, or the status would be written again
//! and again.

use std::collections::BTreeMap;

use greenroom_crds::{ActorClusterSpec, names};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::Value;

use crate::build;
use crate::observed::{NodeReport, Observed};
use crate::step::{Kind, ObjectKey, PodRef};

/// So many restarts of a node that does not serve are no accident.
const RESTARTS_OF_A_BROKEN_NODE: i32 = 3;

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// There is no pod, or it is being ended.
    Missing,
    /// The pod is there, but its program does not run.
    NotRunning,
    /// The program runs and does not serve all that it should.
    NotServing,
    /// It is ready.
    Serving,
}

/// A node that should be there.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    /// The name of the node and its pod.
    pub(crate) name: String,
    /// Its pod, unless it is being ended.
    pub(crate) pod: Option<&'a Pod>,
    /// What it said.
    pub(crate) report: Option<&'a NodeReport>,
    /// How far it is.
    pub(crate) state: State,
    /// Why it does not serve.
    pub(crate) message: Option<String>,
    /// True if it does not run for a reason that waiting does not end.
    pub(crate) stuck: bool,
    /// True if its pod is not as its StatefulSet would make it now.
    pub(crate) outdated: bool,
}

impl Node<'_> {
    /// True if the node itself says that it serves all its shards: enough to take another one away.
    pub(crate) fn proven(&self) -> bool {
        self.state == State::Serving && self.report.is_some()
    }

    /// True if it said that it is in this phase.
    pub(crate) fn says(&self, phase: &str) -> bool {
        self.report.is_some_and(|report| report.phase == phase)
    }

    /// Actors in memory.
    pub(crate) fn activations(&self) -> u64 {
        self.report.map_or(0, |report| report.activations_by_type.values().sum())
    }

    /// The pod, as a step names it.
    pub(crate) fn pod_ref(&self) -> Option<PodRef> {
        let metadata = &self.pod?.metadata;
        Some(PodRef {
            name: self.name.clone(),
            uid: metadata.uid.clone()?,
            resource_version: metadata.resource_version.clone()?,
        })
    }
}

/// What the pods of the general nodes, or of those of a group, should be like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// Which group.
    pub(crate) group: Option<&'a str>,
    /// How many there should be.
    pub(crate) replicas: u16,
    /// The hash of the template that they should have.
    pub(crate) template_hash: Option<&'a str>,
    /// What Kubernetes calls that template, once the StatefulSet's controller has taken it over.
    pub(crate) revision: Option<&'a str>,
}

/// The name of the StatefulSet's present template, if its controller has seen that template.
pub(crate) fn revision(stateful_set: &Value) -> Option<&str> {
    let status = &stateful_set["status"];
    let generation = stateful_set["metadata"]["generation"].as_i64()?;
    if status["observedGeneration"].as_i64()? != generation {
        return None;
    }
    status["updateRevision"].as_str()
}

/// The nodes that should be there, set by set and by ordinal: an order that stays, with the general node 0 as the first.
pub(crate) fn nodes<'a>(observed: &'a Observed, expected: &[Expected]) -> Vec<Node<'a>> {
    let mut nodes = Vec::new();
    for set in expected {
        let name = |ordinal| names::node(cluster_name(observed), set.group, ordinal);
        nodes.extend((0..set.replicas).map(|ordinal| node(observed, name(ordinal), *set)));
    }
    nodes
}

fn cluster_name(observed: &Observed) -> &str {
    observed.cluster.metadata.name.as_deref().unwrap_or_default()
}

fn node<'a>(observed: &'a Observed, name: String, expected: Expected) -> Node<'a> {
    let there = observed.pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(&name));
    let Some(pod) = there.filter(|pod| pod.metadata.deletion_timestamp.is_none()) else {
        let message = if there.is_some() { "its pod is being ended" } else { "it has no pod yet" };
        return Node {
            name,
            pod: None,
            report: None,
            state: State::Missing,
            message: Some(message.to_owned()),
            stuck: false,
            outdated: false,
        };
    };
    let report = observed.nodes.get(&name);
    let (state, message, stuck) = judge(pod, report);
    let outdated = is_outdated(pod, expected);
    Node { name, pod: Some(pod), report, state, message: message.map(str::to_owned), stuck, outdated }
}

/// What Kubernetes says counts; while it does not know yet, the template's hash does.
fn is_outdated(pod: &Pod, expected: Expected) -> bool {
    let label = |name: &str| pod.metadata.labels.as_ref()?.get(name).map(String::as_str);
    let annotation = |name: &str| pod.metadata.annotations.as_ref()?.get(name).map(String::as_str);
    match expected.revision {
        Some(revision) => label("controller-revision-hash") != Some(revision),
        None => annotation(names::HASH_ANNOTATION) != expected.template_hash,
    }
}

type Verdict = (State, Option<&'static str>, bool);

fn judge(pod: &Pod, report: Option<&NodeReport>) -> Verdict {
    let Some(status) = &pod.status else {
        return (State::NotRunning, Some("its pod is not scheduled yet"), false);
    };
    let container = status.container_statuses.iter().flatten().find(|one| one.name == names::NODE_CONTAINER);
    let condition = |name: &str| {
        let conditions = status.conditions.iter().flatten();
        conditions.clone().find(|one| one.type_ == name).map(|one| one.status == "True")
    };
    match container.map(|container| (container, &container.state)) {
        Some((container, Some(state))) if state.running.is_some() => {
            match judge_running(condition("Ready") == Some(true), report) {
                None => (State::Serving, None, false),
                Some(_) if container.restart_count >= RESTARTS_OF_A_BROKEN_NODE => {
                    (State::NotServing, Some(ENDS_AGAIN_AND_AGAIN), true)
                }
                Some(message) => (State::NotServing, Some(message), false),
            }
        }
        Some((container, _)) => {
            let (message, stuck) = judge_stopped(container);
            (State::NotRunning, Some(message), stuck)
        }
        None if condition("PodScheduled") == Some(false) => {
            (State::NotRunning, Some("no host can take its pod; see kubectl describe pod"), false)
        }
        None => (State::NotRunning, Some("its container is being made"), false),
    }
}

const ENDS_AGAIN_AND_AGAIN: &str = "its program ends again and again; see kubectl logs --previous";

/// Why a running node does not serve; `None` if it does. A node that does not answer just now counts by its readiness.
fn judge_running(ready: bool, report: Option<&NodeReport>) -> Option<&'static str> {
    match report.map(|report| (report.phase.as_str(), report)) {
        Some(("Starting", _)) => Some("it is starting"),
        Some(("Joining", _)) => Some("it is joining the others"),
        Some(("Draining", _)) => Some("it is draining"),
        Some(("Drained", _)) => Some("it is drained"),
        Some((_, report)) if report.shards_serving < report.shards_owned => Some("it is opening its shards"),
        _ if !ready => Some("it is not ready"),
        _ => None,
    }
}

/// Why a container does not run, and whether waiting does not help.
fn judge_stopped(container: &ContainerStatus) -> (&'static str, bool) {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
            ("its image cannot be pulled; check spec.image and the pull secrets", true)
        }
        Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
            ("its container cannot be made; see kubectl describe pod", true)
        }
        _ if container.restart_count >= RESTARTS_OF_A_BROKEN_NODE => (ENDS_AGAIN_AND_AGAIN, true),
        Some("CrashLoopBackOff") => ("its program has ended and will be started again", false),
        Some(_) => ("its container is being made", false),
        None => ("its program has ended and will be started again", false),
    }
}

/// The nodes as they should be, by the spec, the StatefulSets that are wanted and those that exist.
pub(crate) fn expected<'a>(
    observed: &'a Observed,
    spec: &'a ActorClusterSpec,
    desired: &'a BTreeMap<ObjectKey, Value>,
    settled: bool,
) -> Vec<Expected<'a>> {
    let groups = spec.groups.iter().map(|group| (Some(group.name.as_str()), group.replicas));
    let sets = std::iter::once((None, spec.replicas)).chain(groups);
    let expect = |(group, replicas)| {
        let key = key(observed, group);
        let live = observed.children.get(&key);
        Expected {
            group,
            replicas,
            template_hash: desired.get(&key).or(live).and_then(build::template_hash),
            revision: live.filter(|_| settled).and_then(revision),
        }
    };
    sets.map(expect).collect()
}

/// The nodes as they are, for a cluster whose spec cannot be run: as many as there are pods.
pub(crate) fn present<'a>(observed: &'a Observed) -> Vec<Expected<'a>> {
    let sets = observed.children.iter().filter(|(key, _)| key.kind == Kind::StatefulSet);
    let groups = sets.filter_map(|(_, live)| live["metadata"]["labels"][names::GROUP_LABEL].as_str());
    let expect = |group: Option<&'a str>| {
        let live = observed.children.get(&key(observed, group));
        let pods = observed.pods.iter().filter(|pod| group_of(pod) == group).count();
        Expected {
            group,
            replicas: u16::try_from(pods).unwrap_or(u16::MAX),
            template_hash: live.and_then(build::template_hash),
            revision: live.and_then(revision),
        }
    };
    std::iter::once(None).chain(groups.map(Some)).map(expect).collect()
}

fn key(observed: &Observed, group: Option<&str>) -> ObjectKey {
    ObjectKey { kind: Kind::StatefulSet, name: names::stateful_set(cluster_name(observed), group) }
}

fn group_of(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(names::GROUP_LABEL).map(String::as_str)
}
