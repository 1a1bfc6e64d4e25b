//! A dev cluster at one moment, as the live view shows it. Plain data: the monitor makes it, everything else reads it.

use std::collections::BTreeMap;

use greenroom_proto::v1::NodeStatus;
use tokio::time::Instant;

use super::endpoints::NodeEndpoints;
use super::supervisor::{State, Supervised};

/// The cluster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    /// Its name.
    pub(crate) cluster: String,
    /// How many shards it has.
    pub(crate) shards: u16,
    /// Its nodes, in order.
    pub(crate) nodes: Vec<NodeSnapshot>,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeSnapshot {
    /// Its name.
    pub(crate) name: String,
    /// What its process does.
    pub(crate) state: State,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// Where it is, while it is present.
    pub(crate) endpoints: Option<NodeEndpoints>,
    /// What it last said, while it is present.
    pub(crate) status: Option<NodeStatus>,
    /// Calls answered a second.
    pub(crate) calls_per_second: f64,
    /// Commits a second.
    pub(crate) commits_per_second: f64,
    /// When it last said something.
    heard: Option<Instant>,
}

impl Snapshot {
    /// Before anything has started.
    pub(crate) fn new(cluster: &str, shards: u16, nodes: impl IntoIterator<Item = String>) -> Self {
        let node = |name| NodeSnapshot {
            name,
            state: State::Restarting,
            restarts: 0,
            endpoints: None,
            status: None,
            calls_per_second: 0.0,
            commits_per_second: 0.0,
            heard: None,
        };
        Self { cluster: cluster.into(), shards, nodes: nodes.into_iter().map(node).collect() }
    }

    /// How many nodes are present.
    pub(crate) fn registered(&self) -> usize {
        self.nodes.iter().filter(|node| node.endpoints.is_some()).count()
    }

    /// How many shards are served.
    pub(crate) fn serving(&self) -> u32 {
        self.nodes.iter().filter_map(|node| node.status.as_ref()).map(|status| status.shards_serving).sum()
    }

    /// True if every shard is served.
    pub(crate) fn is_ready(&self) -> bool {
        self.serving() >= u32::from(self.shards)
    }

    /// How many actors of each type are active, the most first.
    pub(crate) fn activations_by_type(&self) -> Vec<(String, u64)> {
        let mut totals = BTreeMap::new();
        for (name, count) in
            self.nodes.iter().filter_map(|n| n.status.as_ref()).flat_map(|s| &s.activations_by_type)
        {
            *totals.entry(name.clone()).or_insert(0) += count;
        }
        let mut totals: Vec<_> = totals.into_iter().filter(|(_, count)| *count > 0).collect();
        totals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        totals
    }

    /// Calls and commits a second over all nodes.
    pub(crate) fn rates(&self) -> (f64, f64) {
        let add =
            |(calls, commits), n: &NodeSnapshot| (calls + n.calls_per_second, commits + n.commits_per_second);
        self.nodes.iter().fold((0.0, 0.0), add)
    }
}

impl NodeSnapshot {
    /// What to call the node's state: its own word while it is there, that of its process otherwise.
    pub(crate) fn phase(&self) -> &str {
        match (&self.state, &self.status) {
            (State::Restarting, _) => "Restarting",
            (State::Stopping, _) => "Stopping",
            (State::Stopped, _) => "Stopped",
            (State::Running { .. }, Some(status)) => &status.phase,
            (State::Running { .. }, None) => "Starting",
        }
    }

    /// What the supervisor says.
    pub(crate) fn take_state(&mut self, supervised: &Supervised) {
        self.state = supervised.state.clone();
        self.restarts = supervised.restarts;
    }

    /// What the coordination service says; returns true if the node is newly there.
    pub(crate) fn take_endpoints(&mut self, endpoints: Option<NodeEndpoints>) -> bool {
        let changed = self.endpoints != endpoints;
        if changed {
            self.take_status(None, Instant::now());
        }
        self.endpoints = endpoints;
        changed && self.endpoints.is_some()
    }

    /// What the node itself says, `None` if it does not answer.
    pub(crate) fn take_status(&mut self, status: Option<NodeStatus>, now: Instant) {
        let before = self.status.take().zip(self.heard.take());
        (self.calls_per_second, self.commits_per_second) = (0.0, 0.0);
        if let (Some((old, heard)), Some(new)) = (before, &status)
            && old.incarnation == new.incarnation
        {
            let seconds = now.duration_since(heard).as_secs_f64().max(0.001);
            let rate = |old: u64, new: u64| new.saturating_sub(old) as f64 / seconds;
            self.calls_per_second = rate(old.calls_total, new.calls_total);
            self.commits_per_second = rate(old.commits_total, new.commits_total);
        }
        self.heard = status.is_some().then_some(now);
        self.status = status;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::get::tests::status;

    #[test]
    fn rates_are_of_one_incarnation_and_need_two_answers() {
        let mut node = Snapshot::new("demo", 4, ["demo-0".to_owned()]).nodes.remove(0);
        let start = Instant::now();
        node.take_status(Some(status(0)), start);
        assert_eq!(node.calls_per_second, 0.0);
        let later = NodeStatus { calls_total: 3_000, commits_total: 1_000, ..status(0) };
        node.take_status(Some(later.clone()), start + Duration::from_secs(2));
        assert_eq!((node.calls_per_second, node.commits_per_second), (1_000.0, 50.0));
        let restarted = NodeStatus { incarnation: 9, calls_total: 9_000, ..later };
        node.take_status(Some(restarted), start + Duration::from_secs(3));
        assert_eq!(node.calls_per_second, 0.0);
    }

    #[test]
    fn a_cluster_is_ready_when_every_shard_is_served() {
        let mut snapshot = Snapshot::new("demo", 682, (0..2).map(|i| format!("demo-{i}")));
        assert!(!snapshot.is_ready());
        for i in 0..2 {
            snapshot.nodes[i].take_status(Some(status(0)), Instant::now());
        }
        assert_eq!(snapshot.serving(), 682);
        assert!(snapshot.is_ready());
        assert_eq!(snapshot.activations_by_type(), [("Counter".to_owned(), 24)]);
    }
}
