//! The sets of nodes of a cluster: the general nodes, and those of each group. A set has a StatefulSet of its own; all
//! else they share, so selectors of the whole cluster match the nodes of every set.

use greenroom_crds::{NodeGroup, PodSettings, names};
use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Value, json};

use super::{Target, labels};

/// Nodes that are made from one template.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeSet<'a> {
    pub(super) target: Target<'a>,
    /// Which group; `None`: the general nodes.
    pub(super) group: Option<&'a NodeGroup>,
}

impl<'a> NodeSet<'a> {
    /// All sets of a cluster: the general nodes, then the groups as the spec names them.
    pub(super) fn all(target: Target<'a>) -> impl Iterator<Item = Self> {
        let groups = target.spec().groups.iter().map(Some);
        std::iter::once(None).chain(groups).map(move |group| Self { target, group })
    }

    /// The name of the StatefulSet.
    pub(super) fn stateful_set(self) -> String {
        names::stateful_set(self.target.name(), self.group_name())
    }

    pub(super) fn group_name(self) -> Option<&'a str> {
        self.group.map(|group| group.name.as_str())
    }

    pub(super) fn replicas(self) -> u16 {
        self.group.map_or(self.target.spec().replicas, |group| group.replicas)
    }

    pub(super) fn resources(self) -> Option<&'a ResourceRequirements> {
        let own = self.group.and_then(|group| group.resources.as_ref());
        own.or(self.target.spec().resources.as_ref())
    }

    /// A group's settings replace those of the cluster; they are not merged, so that a group can also be without.
    pub(super) fn pod(self) -> &'a PodSettings {
        let own = self.group.and_then(|group| group.pod.as_ref());
        own.unwrap_or(&self.target.spec().pod)
    }

    /// Writes the label of the group, if there is one, into these labels.
    pub(super) fn labelled(self, mut labels: Value) -> Value {
        if let Some(group) = self.group_name() {
            labels[names::GROUP_LABEL] = group.into();
        }
        labels
    }

    /// What the StatefulSet is asked to select. That of the general nodes is the same with and without groups; the pods
    /// of groups, which it matches too, are not its own: they are controlled by another and not named after it.
    pub(super) fn selector(self) -> Value {
        json!({"matchLabels": self.labelled(labels::selector(self.target))})
    }

    /// What selects the pods of this set and no others.
    pub(super) fn exact_selector(self) -> Value {
        let mut selector = self.selector();
        if self.group.is_none() && !self.target.spec().groups.is_empty() {
            selector["matchExpressions"] = json!([{"key": names::GROUP_LABEL, "operator": "DoesNotExist"}]);
        }
        selector
    }
}
