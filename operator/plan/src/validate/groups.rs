//! The groups of a cluster: their names belong to nobody else, and they stay what they were made as.

use greenroom_crds::{ActorClusterSpec, NodeGroup, names};

use super::{Present, Problem, kept_replicas};
use crate::observed::{GroupSeen, Observed, PageSeen};
use crate::reasons::Reason;

/// The StatefulSet of the group `gpu` of `chat` is called as that of a cluster `chat-gpu`. Whoever comes second gets
/// nothing: one of them would otherwise take the other's pods over.
pub(super) fn check_names(observed: &Observed) -> Result<(), Problem> {
    let cluster = observed.cluster.metadata.name.as_deref().unwrap_or_default();
    let groups = observed.cluster.spec.groups.iter().map(|group| Some(group.name.as_str()));
    for group in std::iter::once(None).chain(groups) {
        let name = names::stateful_set(cluster, group);
        let Some(other) = observed.foreign.get(&name) else { continue };
        let (whose, remedy) = match group {
            Some(group) => (format!("the group {group}"), "the group, or the cluster,"),
            None => ("this cluster".to_owned(), "the cluster"),
        };
        return Err(Problem {
            reason: Reason::NameTaken,
            message: format!(
                "the StatefulSet {name}, which {whose} needs, belongs to the ActorCluster {other}; make this \
                 ActorCluster anew and give {remedy} another name"
            ),
        });
    }
    Ok(())
}

/// A shard map that exists decides which groups there are, in which order, and how many shards they have.
pub(super) fn keep_groups(spec: &mut ActorClusterSpec, observed: &Observed) -> Option<Problem> {
    let kept = &a_page(observed)?.groups;
    let asked: Vec<_> = spec.groups.iter().map(|group| (group.name.as_str(), group.shards)).collect();
    if kept.iter().map(|group| (group.name.as_str(), group.shards)).eq(asked.iter().copied()) {
        return None;
    }
    let told = |groups: &[(&str, u16)]| match groups {
        [] => "no groups".to_owned(),
        groups => {
            let one = |(name, shards): &(&str, u16)| format!("{name} with {shards} shards");
            format!("the groups {}", groups.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    };
    let had: Vec<_> = kept.iter().map(|group| (group.name.as_str(), group.shards)).collect();
    let message = format!(
        "the shard map that was kept has {}, not {}; make the ActorCluster with {}, or delete the ShardMaps and volumes \
         of the earlier one, and the state in them",
        told(&had),
        told(&asked),
        told(&had)
    );
    spec.groups = kept.iter().map(|kept| as_kept(kept, &spec.groups)).collect();
    Some(Problem { reason: Reason::ShardsRefused, message })
}

/// A group as it was made. What its pods get may change, so that is as the spec says, if it has the group.
fn as_kept(kept: &GroupSeen, asked: &[NodeGroup]) -> NodeGroup {
    let asked = asked.iter().find(|asked| asked.name == kept.name);
    NodeGroup {
        name: kept.name.clone(),
        replicas: kept.replicas,
        shards: kept.shards,
        resources: asked.and_then(|asked| asked.resources.clone()),
        pod: asked.and_then(|asked| asked.pod.clone()),
    }
}

/// The number of nodes of each group stays, as that of the general nodes does.
pub(super) fn keep_replicas(spec: &mut ActorClusterSpec, observed: &Observed) -> Vec<Problem> {
    let mut problems = Vec::new();
    for group in &mut spec.groups {
        let noted = || Some(a_page(observed)?.groups.iter().find(|seen| seen.name == group.name)?.replicas);
        let kept = match Present::of(observed, Some(&group.name)) {
            Some(present) => present.replicas(),
            None => noted(),
        };
        let whose = format!("the group {}", group.name);
        problems.extend(kept_replicas(&mut group.replicas, kept, &whose));
    }
    problems
}

/// Any page that says what it was made for; they all say the same.
fn a_page(observed: &Observed) -> Option<&PageSeen> {
    observed.pages.iter().find(|page| page.shards.is_some())
}
