//! The shard map of a dev cluster, kept in `.greenroom/<name>/coordination/`, and whether a plan fits it.
//!
//! A map says for good which stores its shards are on. Moving shards does not exist yet, so a plan with other numbers
//! than the map was made for would leave shards without an owner: it is refused before anything starts.

use std::path::Path;

use greenroom::config::StorageEngine;
use greenroom_cluster::{ClusterError, Coordination, Embedded};
use greenroom_core::map::Page;

use super::plan::Plan;
use crate::failure::{Failure, OrFail, Result};

/// Opens the register with the map of a cluster, if the plan fits it.
pub(crate) async fn open(cluster_dir: &Path, plan: &Plan) -> Result<Embedded> {
    if plan.engine == StorageEngine::Memory {
        // Its stores are gone after each run, and so must be the map that names them.
        return Ok(Embedded::memory(plan.layout()?));
    }
    let register = match Embedded::directory(&cluster_dir.join("coordination"), plan.layout()?) {
        Err(ClusterError::OtherShardCount { found, asked }) => {
            let why = "the number of shards is fixed when a cluster is created";
            return Err(does_not_fit(cluster_dir, ("shards", why), found.into(), asked.into()));
        }
        Err(error @ ClusterError::OtherGroups { .. }) => {
            let back = "set spec.groups back to what they were";
            return Err(Failure::new(error.to_string()).hint(back).hint(begin_anew(cluster_dir)));
        }
        opened => opened.or_fail("cannot open the shard map")?,
    };
    let first = register.read(0).await.or_fail("cannot read the shard map")?;
    fits(&first.content, cluster_dir, plan)?;
    Ok(register)
}

/// Until the shards have been assigned, nodes may be added; afterwards the members are who they are.
fn fits(first: &Page, cluster_dir: &Path, plan: &Plan) -> Result {
    let assigned = !first.entries.is_empty();
    for (group, replicas) in plan.replicas_by_group() {
        let of_group = first.members.iter().filter(|member| member.group.as_deref() == group);
        let (members, replicas) = (of_group.count(), replicas as usize);
        if members > replicas || (assigned && members != replicas) {
            let field = group.map_or("replicas".into(), |group| format!("replicas of the group {group}"));
            let why = "shards cannot be moved between nodes yet";
            return Err(does_not_fit(cluster_dir, (&field, why), members, replicas));
        }
    }
    Ok(())
}

fn does_not_fit(cluster_dir: &Path, (field, why): (&str, &str), found: usize, asked: usize) -> Failure {
    let (dir, anew) = (cluster_dir.display(), begin_anew(cluster_dir));
    Failure::new(format!(
        "the cluster in {dir} was created with {field}: {found}, and the YAML says {field}: {asked}"
    ))
    .hint(format!("set {field} back to {found}: {why}"))
    .hint(anew)
}

fn begin_anew(cluster_dir: &Path) -> String {
    format!("or delete its state and begin anew: rm -r {}", cluster_dir.display())
}

#[cfg(test)]
mod tests {
    use greenroom_core::map::{Entry, Evidence, Member, NodeRun};
    use greenroom_core::{Epoch, Incarnation, ShardCount, StoreId};

    use super::*;

    /// A cluster that ran with so many members and four shards.
    async fn ran(dir: &Path, members: u32, assigned: bool) {
        let register = open(dir, &Plan::for_test(members as u16, 4)).await.unwrap();
        let first = register.read(0).await.unwrap();
        let incarnation = Incarnation(1);
        let store = |i: u32| StoreId(format!("00000000-0000-7000-8000-00000000000{i}").parse().unwrap());
        let member = |i| Member { store: store(i), node: format!("demo-{i}"), incarnation, group: None };
        let entry = Entry {
            epoch: Epoch(1),
            owner: NodeRun { store: store(0), incarnation },
            prev: None,
            in_sync: vec![store(0)],
            evidence: Evidence::None,
        };
        let entries = if assigned { vec![entry; 4] } else { Vec::new() };
        let page = Page { members: (0..members).map(member).collect(), entries, ..first.content };
        register.write(0, first.version, page).await.unwrap();
    }

    async fn refusal(dir: &Path, replicas: u16, shards: u16) -> String {
        open(dir, &Plan::for_test(replicas, shards))
            .await
            .err()
            .map(|failure| failure.to_string())
            .unwrap_or_default()
    }

    #[tokio::test]
    async fn the_same_numbers_are_taken_and_others_are_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        ran(dir.path(), 3, true).await;
        assert_eq!(refusal(dir.path(), 3, 4).await, "");
        let shown = |text: String| text.replace(&dir.path().display().to_string(), "DIR");
        insta::assert_snapshot!(shown(refusal(dir.path(), 2, 4).await), @r"
        error: the cluster in DIR was created with replicas: 3, and the YAML says replicas: 2
        hint: set replicas back to 3: shards cannot be moved between nodes yet
        hint: or delete its state and begin anew: rm -r DIR
        ");
        insta::assert_snapshot!(shown(refusal(dir.path(), 3, 8).await), @r"
        error: the cluster in DIR was created with shards: 4, and the YAML says shards: 8
        hint: set shards back to 4: the number of shards is fixed when a cluster is created
        hint: or delete its state and begin anew: rm -r DIR
        ");
        assert!(refusal(dir.path(), 4, 4).await.contains("replicas: 3, and the YAML says replicas: 4"));
    }

    #[tokio::test]
    async fn before_the_first_assignment_nodes_may_be_added_but_not_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        ran(dir.path(), 2, false).await;
        assert_eq!(refusal(dir.path(), 3, 4).await, "");
        assert!(refusal(dir.path(), 1, 4).await.contains("replicas: 2"));
    }

    #[tokio::test]
    async fn groups_cannot_be_added_later() {
        let dir = tempfile::tempdir().unwrap();
        ran(dir.path(), 1, true).await;
        let plan = Plan { groups: "gpu=2x1".parse().unwrap(), ..Plan::for_test(1, 4) };
        let refused = open(dir.path(), &plan).await.err().unwrap().to_string();
        assert!(refused.contains("divided into 4 shards, 4 and gpu=2 were asked for"), "{refused}");
        assert!(refused.contains("set spec.groups back") && refused.contains("rm -r"), "{refused}");
    }

    #[tokio::test]
    async fn a_map_for_memory_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { engine: StorageEngine::Memory, ..Plan::for_test(1, 4) };
        assert_eq!(open(dir.path(), &plan).await.unwrap().layout().total(), ShardCount::new(4).unwrap());
        assert!(!dir.path().join("coordination").exists());
    }
}
