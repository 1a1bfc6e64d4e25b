//! What is told to the user: the status of an ActorCluster, as a pure function of what was seen, the status before, and
//! now.
//!
//! - The conditions are those of kstatus: `Ready` says that the nodes run **this generation** of the spec and serve,
//!   `Reconciling` that something is underway, `Stalled` that it will not end without the user. At most one of the
//!   three is true.
//! - Nothing in it changes unless something happens: times are those of transitions, messages name states and not
//!   counts of attempts, what a node that does not answer once said is kept, and counts of actors are rounded and
//!   change at most once a minute. A status that says the same is equal to the one before, so nothing is written.

use greenroom_crds::{ActorClusterStatus, NodeStatus, names};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::activations;
use crate::nodes::{Node, State};
use crate::observed::Observed;
use crate::reasons::Reason;
use crate::step::Event;
use crate::validate::Problem;

/// The condition that holds while the cluster is as its spec says, and serves.
pub const READY: &str = "Ready";
/// The condition that holds while something is underway.
pub const RECONCILING: &str = "Reconciling";
/// The condition that holds while only the user can help.
pub const STALLED: &str = "Stalled";

/// What a status is made from.
pub(crate) struct Seen<'a> {
    /// The nodes that should be there.
    pub(crate) nodes: Vec<Node<'a>>,
    /// What was refused.
    pub(crate) problems: Vec<Problem>,
    /// True while objects of an earlier cluster are in the way.
    pub(crate) waits_for_deletion: bool,
}

/// The status that the cluster shall have.
pub(crate) fn status(observed: &Observed, seen: &Seen, now: Timestamp) -> ActorClusterStatus {
    let cluster = &observed.cluster;
    let previous = cluster.status.clone().unwrap_or_default();
    let generation = cluster.metadata.generation.unwrap_or_default();
    let nodes: Vec<_> = seen.nodes.iter().map(|node| node_status(node, &previous)).collect();
    ActorClusterStatus {
        observed_generation: Some(generation),
        conditions: Verdict::of(seen).conditions(&previous.conditions, generation, now),
        desired_replicas: Some(cluster.spec.total_replicas()),
        replicas: saturating(observed.pods.len()),
        ready_replicas: saturating(nodes.iter().filter(|node| node.ready).count()),
        selector: Some(names::pod_selector(cluster.metadata.name.as_deref().unwrap_or_default())),
        activations: activations::count(&seen.nodes, previous.activations, now),
        nodes,
    }
}

/// The status after the API server has refused one of the cluster's objects: it is stalled, all else stays. The message
/// is the API server's answer.
pub fn refused(
    previous: &ActorClusterStatus,
    generation: i64,
    message: &str,
    now: Timestamp,
) -> ActorClusterStatus {
    let verdict = Verdict { kind: Kind::Stalled, reason: Reason::ApplyFailed, message: message.to_owned() };
    ActorClusterStatus {
        observed_generation: Some(generation),
        conditions: verdict.conditions(&previous.conditions, generation, now),
        ..previous.clone()
    }
}

/// What to tell about the way from one status to the next.
pub fn events(previous: &ActorClusterStatus, next: &ActorClusterStatus) -> Vec<Event> {
    let newly = |kind: &str| {
        let condition = find(&next.conditions, kind).filter(|condition| condition.status == "True")?;
        let same = find(&previous.conditions, kind).is_some_and(|before| {
            (&before.status, &before.reason, &before.message)
                == (&condition.status, &condition.reason, &condition.message)
        });
        if same { None } else { Some(condition) }
    };
    let event = |warning, reason: Reason, message: &str| Event {
        warning,
        reason: reason.as_str(),
        action: "Reconciling",
        message: message.to_owned(),
    };
    let stalled = newly(STALLED).and_then(|condition| {
        let reason = crate::reasons::ALL.into_iter().find(|reason| reason.as_str() == condition.reason)?;
        Some(event(true, reason, &condition.message))
    });
    let ready = newly(READY).map(|condition| event(false, Reason::AllNodesServe, &condition.message));
    stalled.into_iter().chain(ready).collect()
}

/// True while something is underway.
pub(crate) fn is_changing(status: &ActorClusterStatus) -> bool {
    find(&status.conditions, READY).is_none_or(|ready| ready.status != "True")
}

fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn saturating(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ready,
    Reconciling,
    Stalled,
}

/// How the cluster is, in one word.
struct Verdict {
    kind: Kind,
    reason: Reason,
    message: String,
}

impl Verdict {
    fn of(seen: &Seen) -> Self {
        let stalled = |reason, message| Self { kind: Kind::Stalled, reason, message };
        let reconciling = |reason, message| Self { kind: Kind::Reconciling, reason, message };
        if let Some(problem) = seen.problems.first() {
            let messages: Vec<_> = seen.problems.iter().map(ToString::to_string).collect();
            return stalled(problem.reason, messages.join(". "));
        }
        if seen.waits_for_deletion {
            let message = "objects of an earlier cluster of this name are still being deleted".to_owned();
            return reconciling(Reason::WaitingForDeletion, message);
        }
        let about = |node: &Node| format!("{}: {}", node.name, node.message.as_deref().unwrap_or_default());
        if let Some(stuck) = seen.nodes.iter().find(|node| node.stuck) {
            return stalled(Reason::NodeFailing, about(stuck));
        }
        let all = seen.nodes.len();
        let outdated = seen.nodes.iter().filter(|node| node.outdated).count();
        let waiting = seen.nodes.iter().find(|node| node.state != State::Serving);
        let detail = waiting.map(|node| format!("; {}", about(node))).unwrap_or_default();
        if outdated > 0 {
            let message = format!("{outdated} of {all} nodes are still to be replaced{detail}");
            return reconciling(Reason::Rolling, message);
        }
        if waiting.is_some() {
            let serving = seen.nodes.iter().filter(|node| node.state == State::Serving).count();
            return reconciling(Reason::NodesNotReady, format!("{serving} of {all} nodes serve{detail}"));
        }
        Self { kind: Kind::Ready, reason: Reason::AllNodesServe, message: format!("all nodes serve: {all}") }
    }

    fn conditions(&self, previous: &[Condition], generation: i64, now: Timestamp) -> Vec<Condition> {
        let told = (self.reason, self.message.clone());
        let settled = match self.kind {
            Kind::Ready => (Reason::Settled, "nothing is underway".to_owned()),
            _ => (self.reason, "it waits for the user; see the condition Stalled".to_owned()),
        };
        let unhindered = || (Reason::Unhindered, "nothing hinders the cluster".to_owned());
        let conditions = [
            (READY, self.kind == Kind::Ready, told.clone()),
            (
                RECONCILING,
                self.kind == Kind::Reconciling,
                if self.kind == Kind::Reconciling { told.clone() } else { settled },
            ),
            (
                STALLED,
                self.kind == Kind::Stalled,
                if self.kind == Kind::Stalled { told } else { unhindered() },
            ),
        ];
        let build = |(kind, holds, (reason, message)): (&str, bool, (Reason, String))| {
            let status = if holds { "True" } else { "False" };
            let since = find(previous, kind).filter(|before| before.status == status);
            Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: reason.as_str().to_owned(),
                message,
                observed_generation: Some(generation),
                last_transition_time: since
                    .map_or(Time(to_seconds(now)), |before| before.last_transition_time.clone()),
            }
        };
        conditions.map(build).to_vec()
    }
}

/// Kubernetes' times have whole seconds; a finer one would come back as another.
pub(crate) fn to_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// What a node that does not answer once said about its store is still true while its pod is there.
fn node_status(node: &Node, previous: &ActorClusterStatus) -> NodeStatus {
    let before = previous.nodes.iter().find(|before| before.name == node.name).cloned().unwrap_or_default();
    let said = node.report.filter(|report| !report.store.is_empty());
    let (store, incarnation, shards) = match said {
        Some(report) => {
            let shards = u16::try_from(report.shards_owned).unwrap_or(u16::MAX);
            (Some(report.store.clone()), Some(report.incarnation), Some(shards))
        }
        None => (before.store, before.incarnation, before.shards),
    };
    NodeStatus {
        name: node.name.clone(),
        ready: node.state == State::Serving,
        store,
        incarnation,
        shards,
        host: node.pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone()),
        message: node.message.clone(),
    }
}
