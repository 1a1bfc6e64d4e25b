//! Every reason that a condition or an event of the operator may carry: a fixed list, since people and scripts match it.

/// Why a condition is as it is, or why an event was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Every node serves, as the spec asks.
    AllNodesServe,
    /// Nodes are being started, or shards are being opened.
    NodesNotReady,
    /// Nodes run an older template and are replaced one at a time.
    Rolling,
    /// Objects of an earlier cluster of the same name are not deleted yet.
    WaitingForDeletion,
    /// Nothing is underway.
    Settled,
    /// Nothing hinders.
    Unhindered,
    /// The spec changes `replicas` of a cluster that exists.
    ScaleRefused,
    /// The spec changes the size, class or engine of the storage of a cluster that exists.
    StorageChangeRefused,
    /// The spec has another number of shards, or other groups, than the shard map that was kept.
    ShardsRefused,
    /// A StatefulSet that the cluster needs belongs to another cluster.
    NameTaken,
    /// The spec cannot be run; an API server with the current definitions would have refused it.
    InvalidSpec,
    /// A node cannot run: no image, no configuration, or its program ends again and again.
    NodeFailing,
    /// The API server refused an object.
    ApplyFailed,
    /// An object was changed by somebody else and is as it was.
    PutBack,
    /// An object that the cluster no longer needs was deleted.
    Pruned,
    /// A node was replaced because its template had changed.
    TemplateChanged,
    /// A node that had been drained was replaced, so that it serves again.
    NodeDrained,
}

/// All of them, in the order of the reference.
pub const ALL: [Reason; 17] = [
    Reason::AllNodesServe,
    Reason::NodesNotReady,
    Reason::Rolling,
    Reason::WaitingForDeletion,
    Reason::Settled,
    Reason::Unhindered,
    Reason::ScaleRefused,
    Reason::StorageChangeRefused,
    Reason::ShardsRefused,
    Reason::NameTaken,
    Reason::InvalidSpec,
    Reason::NodeFailing,
    Reason::ApplyFailed,
    Reason::PutBack,
    Reason::Pruned,
    Reason::TemplateChanged,
    Reason::NodeDrained,
];

impl Reason {
    /// The reason as it is written into conditions and events.
    pub fn as_str(self) -> &'static str {
        self.texts().0
    }

    /// Where it may be seen.
    pub fn seen_in(self) -> &'static str {
        self.texts().1
    }

    /// What it means and, if something is to be done, what.
    pub fn meaning(self) -> &'static str {
        self.texts().2
    }

    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::AllNodesServe => (
                "AllNodesServe",
                "`Ready=True`, event",
                "Every node serves all its shards and runs what the spec asks for.",
            ),
            Self::NodesNotReady => (
                "NodesNotReady",
                "`Ready=False`, `Reconciling=True`",
                "Nodes are being started, or open their shards. The message names the first and says what it waits for.",
            ),
            Self::Rolling => (
                "Rolling",
                "`Ready=False`, `Reconciling=True`",
                "Nodes run an older template and are drained and replaced, one at a time.",
            ),
            Self::WaitingForDeletion => (
                "WaitingForDeletion",
                "`Ready=False`, `Reconciling=True`",
                "Objects of an earlier ActorCluster of the same name are still being deleted; the new ones follow.",
            ),
            Self::Settled => ("Settled", "`Reconciling=False`", "Nothing is underway."),
            Self::Unhindered => ("Unhindered", "`Stalled=False`", "Nothing hinders the cluster."),
            Self::ScaleRefused => (
                "ScaleRefused",
                "`Ready=False`, `Stalled=True`, event",
                "`replicas` of an existing cluster, or of a group of it, was changed, which this version cannot do without losing sight of state. The cluster goes on with its old number; set it back.",
            ),
            Self::StorageChangeRefused => (
                "StorageChangeRefused",
                "`Ready=False`, `Stalled=True`, event",
                "The size, class or engine of an existing cluster's storage was changed, which this version cannot do. The cluster goes on as it is; set it back.",
            ),
            Self::ShardsRefused => (
                "ShardsRefused",
                "`Ready=False`, `Stalled=True`, event",
                "The shard map that an earlier ActorCluster of this name left has another number of shards, or other groups. Use its number and groups, or delete its ShardMaps and volumes, and the state in them.",
            ),
            Self::NameTaken => (
                "NameTaken",
                "`Ready=False`, `Stalled=True`, event",
                "A StatefulSet that the cluster needs belongs to another one, as that of the cluster `chat-gpu` and of the group `gpu` of `chat` would have one name. Nothing is changed; make one of them under another name.",
            ),
            Self::InvalidSpec => (
                "InvalidSpec",
                "`Ready=False`, `Stalled=True`, event",
                "The spec breaks a rule of its definition, so nothing is changed. The message names the rule; if the API server let it through, update the definitions (chart greenroom-crds).",
            ),
            Self::NodeFailing => (
                "NodeFailing",
                "`Ready=False`, `Stalled=True`, event",
                "A node cannot run: its image cannot be pulled, its container cannot be made, or its program ends again and again. A roll goes no further; correct the spec, and the failing node is replaced first.",
            ),
            Self::ApplyFailed => (
                "ApplyFailed",
                "`Ready=False`, `Stalled=True`, event",
                "The API server refused an object of the cluster. The message is its answer.",
            ),
            Self::PutBack => (
                "PutBack",
                "event",
                "A field that the operator owns had been changed by somebody else, and is as it was. Change the ActorCluster instead.",
            ),
            Self::Pruned => ("Pruned", "event", "An object that the cluster no longer needs was deleted."),
            Self::TemplateChanged => (
                "TemplateChanged",
                "event",
                "A node was drained and its pod deleted because its template had changed.",
            ),
            Self::NodeDrained => (
                "NodeDrained",
                "event",
                "A node's pod was deleted because the node had been drained: it serves again only after a new start.",
            ),
        }
    }
}

/// The reasons as a table, for the operator's reference page.
pub fn reasons_markdown() -> String {
    let rows = ALL
        .map(|reason| format!("| `{}` | {} | {} |\n", reason.as_str(), reason.seen_in(), reason.meaning()));
    format!("| reason | seen in | meaning |\n|---|---|---|\n{}", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_word_and_stands_once_in_the_table() {
        let table = reasons_markdown();
        for (at, reason) in ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at, "{reason:?} is out of order");
            assert_eq!(format!("{reason:?}"), reason.as_str());
            assert_eq!(table.matches(&format!("| `{}` |", reason.as_str())).count(), 1);
        }
    }
}
