//! Which pod is next when pods have to be replaced.
//!
//! The algorithm, made anew each time from what is observed. Nothing is remembered, so it may stop anywhere:
//!
//! 1. Nothing is done while a StatefulSet is not as it should be, or its controller has not seen it as it is.
//! 2. A node that is **drained** serves nothing until it is started again: its pod is deleted, outdated or not.
//! 3. While a node is **draining**, it is asked again to drain, which is harmless, and no other is touched.
//! 4. Of the outdated pods the next is one that does not serve, then the one with fewest actors in memory, then the
//!    last in order: by ordinal, and the groups behind the general nodes (the first is by convention the coordinator).
//! 5. It may go if all other nodes say themselves that they serve all their shards. If it does not serve, less will do,
//!    or a broken template could never be corrected:
//!    - its program does not run: no pod with the new template may be in the same state;
//!    - it runs, and not one node of the cluster serves: there is nothing to lose.
//!
//!    In no case may another pod be missing.
//! 6. A node that serves is drained first; then the next plan finds it drained, and deletes its pod.
//!
//! Properties, each with a test of its name:
//! - *never two pods at once*: a plan touches one pod at most, and never one that serves while another does not;
//! - *a pod that never becomes ready stops the roll*: no second pod gets a template that did not work for the first;
//! - *re-entrant after a crash at any point*: started anew before or after every step, it reaches the same end.

use std::cmp::Reverse;

use crate::nodes::{Node, State};
use crate::reasons::Reason;
use crate::step::{Event, Step};

/// What to do about the pods now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Next {
    pub(crate) step: Option<Step>,
    pub(crate) event: Option<Event>,
}

/// The next step of a roll, if one may be made.
pub(crate) fn next(nodes: &[Node]) -> Next {
    if let Some(drained) = nodes.iter().find(|node| node.pod.is_some() && node.says("Drained")) {
        let reason = if drained.outdated { Reason::TemplateChanged } else { Reason::NodeDrained };
        return delete(drained, reason);
    }
    if let Some(draining) = nodes.iter().find(|node| node.pod.is_some() && node.says("Draining")) {
        return drain(draining);
    }
    match candidate(nodes) {
        Some(node) if !may_go(node, nodes) => Next::default(),
        Some(node) if node.says("Active") && node.state >= State::NotServing => drain(node),
        // Who is ready and does not answer cannot be drained; whoever does not serve has nothing to drain.
        Some(node) if node.state == State::Serving => Next::default(),
        Some(node) => delete(node, Reason::TemplateChanged),
        None => Next::default(),
    }
}

fn candidate<'n, 'a>(nodes: &'n [Node<'a>]) -> Option<&'n Node<'a>> {
    let outdated = nodes.iter().enumerate().filter(|(_, node)| node.outdated);
    let next = outdated.min_by_key(|(place, node)| (node.state, node.activations(), Reverse(*place)));
    next.map(|(_, node)| node)
}

/// Rule 5.
fn may_go(node: &Node, nodes: &[Node]) -> bool {
    let others = || nodes.iter().filter(|other| other.name != node.name);
    if others().any(|other| other.state == State::Missing) {
        return false;
    }
    let new_ones_run = !others().any(|other| !other.outdated && other.state == State::NotRunning);
    let none_serves = nodes.iter().all(|node| node.state < State::Serving);
    match node.state {
        State::NotRunning => new_ones_run,
        State::NotServing if none_serves => new_ones_run,
        _ => others().all(Node::proven),
    }
}

fn drain(node: &Node) -> Next {
    Next { step: node.pod_ref().map(|pod| Step::Drain { pod }), event: None }
}

fn delete(node: &Node, reason: Reason) -> Next {
    let why = match reason {
        Reason::TemplateChanged => "its template has changed",
        _ => "it was drained and serves again only after a new start",
    };
    let event = Event {
        warning: false,
        reason: reason.as_str(),
        action: "Rolling",
        message: format!("replaced node {}: {why}", node.name),
    };
    Next { step: node.pod_ref().map(|pod| Step::DeletePod { pod }), event: Some(event) }
}
