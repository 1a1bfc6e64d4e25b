//! The decision: what to do about a cluster now, and what to say about it.
//!
//! In this order: apply what differs, create the pages that are missing, delete what is no longer built, and only when
//! nothing of that is left to do go on with a roll. A plan whose steps are done leaves nothing for the next one, but
//! for a roll, which goes on as the nodes do.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::build::{self, Target};
use crate::drift::{self, Difference};
use crate::nodes;
use crate::observed::{Observed, Settings};
use crate::reasons::Reason;
use crate::roll;
use crate::status::{self, Seen};
use crate::step::{Event, Kind, ObjectKey, Plan, Step};
use crate::validate::{Valid, validate};

/// When to look again while something changes.
const BUSY: Duration = Duration::from_secs(2);
/// When to look again at a cluster in which nothing happens: its counts of actors may have changed.
const IDLE: Duration = Duration::from_secs(15);

/// What to do about a cluster that was seen like this. `now` is wall-clock time, for what people read.
pub fn plan(observed: &Observed, settings: &Settings, now: Timestamp) -> Plan {
    let previous = observed.cluster.status.clone().unwrap_or_default();
    if observed.cluster.metadata.deletion_timestamp.is_some() {
        // The garbage collector does the rest.
        return Plan { steps: Vec::new(), events: Vec::new(), status: previous, again_after: IDLE };
    }
    let decision = match validate(observed, settings) {
        Ok(valid) => Decision::make(observed, settings, valid),
        Err(problem) => Decision::none(observed, problem),
    };
    let status = status::status(observed, &decision.seen, now);
    let mut events = decision.events;
    events.extend(status::events(&previous, &status));
    let busy = !decision.steps.is_empty() || status::is_changing(&status);
    let again_after = if busy { BUSY } else { IDLE };
    Plan { steps: decision.steps, events, status, again_after }
}

/// The steps, and what the status is made from.
struct Decision<'a> {
    steps: Vec<Step>,
    events: Vec<Event>,
    seen: Seen<'a>,
}

impl<'a> Decision<'a> {
    /// Nothing may be changed; what runs goes on.
    fn none(observed: &'a Observed, problem: crate::validate::Problem) -> Self {
        let nodes = nodes::nodes(observed, &nodes::present(observed));
        let seen = Seen { nodes, problems: vec![problem], waits_for_deletion: false };
        Self { steps: Vec::new(), events: Vec::new(), seen }
    }

    fn make(observed: &'a Observed, settings: &Settings, valid: Valid) -> Self {
        let target = Target { cluster: &observed.cluster, valid: &valid, settings };
        let desired = build::objects(target);
        let mut steps = Vec::new();
        let mut events = Vec::new();
        let mut waits_for_deletion = false;
        let mut settled = true;
        for (key, object) in &desired {
            let live = observed.children.get(key);
            if live.is_some_and(|live| is_leaving(live, observed)) {
                waits_for_deletion = true;
                settled = false;
                continue;
            }
            let difference = live.map(|live| drift::differs(object, live));
            if matches!(difference, Some(None)) {
                continue;
            }
            events.extend(
                live.zip(difference.flatten()).and_then(|(live, found)| put_back(key, object, live, &found)),
            );
            settled &= key.kind != Kind::StatefulSet;
            steps.push(Step::Apply { key: key.clone(), object: object.clone() });
        }
        steps.extend(missing_pages(observed, target));
        for (step, event) in prunes(observed, &desired) {
            steps.push(step);
            events.push(event);
        }

        let expected = nodes::expected(observed, &valid.spec, &desired, settled);
        let nodes = nodes::nodes(observed, &expected);
        let all_seen = expected.iter().all(|set| set.revision.is_some());
        if steps.is_empty() && !waits_for_deletion && all_seen {
            let next = roll::next(&nodes);
            steps.extend(next.step);
            events.extend(next.event);
        }
        Self { steps, events, seen: Seen { nodes, problems: valid.problems, waits_for_deletion } }
    }
}

/// True for an object that is being deleted, or that an earlier cluster of the same name still owns. Until it is gone
/// an object of ours cannot take its place.
fn is_leaving(live: &Value, observed: &Observed) -> bool {
    let metadata = &live["metadata"];
    metadata["deletionTimestamp"].is_string() || owner(live).is_some_and(|uid| Some(uid) != own_uid(observed))
}

fn owner(live: &Value) -> Option<&str> {
    let owners = live["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)?["uid"].as_str()
}

fn own_uid(observed: &Observed) -> Option<&str> {
    observed.cluster.metadata.uid.as_deref()
}

/// Told only if the object had been as we want it before: otherwise it was us who changed our mind.
fn put_back(key: &ObjectKey, desired: &Value, live: &Value, found: &Difference) -> Option<Event> {
    if build::hash_of(desired) != build::hash_of(live) {
        return None;
    }
    Some(Event {
        warning: true,
        reason: Reason::PutBack.as_str(),
        action: "Applying",
        message: format!(
            "{:?} {}: {found}, and was put back; change the ActorCluster instead",
            key.kind, key.name
        ),
    })
}

fn missing_pages(observed: &Observed, target: Target) -> Vec<Step> {
    let exists = |page: u16| observed.pages.iter().any(|seen| seen.page == page);
    let missing = build::pages(target).into_iter().filter(|map| !exists(map.spec.page));
    missing.map(|map| Step::CreatePage(Box::new(map))).collect()
}

/// What is there, is ours and is not built any more. Never a StatefulSet: none goes before its cluster does, and if it
/// looked that way, the nodes of a group would be ended by mistake.
fn prunes(observed: &Observed, desired: &BTreeMap<ObjectKey, Value>) -> Vec<(Step, Event)> {
    let own = own_uid(observed);
    let surplus = observed.children.iter().filter(|(key, live)| {
        let may_go = key.kind != Kind::StatefulSet && !desired.contains_key(key);
        may_go && own.is_some() && owner(live) == own && !is_leaving(live, observed)
    });
    let prune = |(key, live): (&ObjectKey, &Value)| {
        let uid = live["metadata"]["uid"].as_str()?.to_owned();
        let event = Event {
            warning: false,
            reason: Reason::Pruned.as_str(),
            action: "Pruning",
            message: format!("deleted {:?} {}, which the cluster no longer needs", key.kind, key.name),
        };
        Some((Step::Prune { key: key.clone(), uid }, event))
    };
    surplus.filter_map(prune).collect()
}
