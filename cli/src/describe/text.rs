//! Descriptions as people read them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{ActorDescription, ShardDescription};
use crate::get::{MethodRow, NodeRow, PlacementRow, TypeRow};
use crate::output::age;

/// Lines of a title and a value, the values below each other; no line for what has no value.
fn lines(fields: &[(&str, String)]) -> String {
    let there = || fields.iter().filter(|(_, value)| !value.is_empty());
    let width = there().map(|(title, _)| title.len()).max().unwrap_or_default() + 3;
    there().map(|(title, value)| format!("{:width$}{value}\n", format!("{title}:"))).collect()
}

/// A title with indented lines below, or nothing if there are no lines.
fn block(text: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        writeln!(text, "{title}:").expect("a string takes everything");
        lines.for_each(|line| writeln!(text, "  {line}").expect("a string takes everything"));
    }
}

/// A line for each that is not zero.
fn counts(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = String> {
    counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| format!("{name}: {count}"))
}

pub(super) fn node(node: &NodeRow) -> String {
    let mut text = lines(&[("Name", node.name.clone()), ("Phase", node.phase.clone())]);
    if node.is_absent() {
        return text;
    }
    text = lines(&[
        ("Name", node.name.clone()),
        ("Cluster", node.cluster.clone()),
        ("Group", node.group.clone()),
        ("Phase", node.phase.clone()),
        ("Process", format!("{}, up {}, version {}", node.pid, age(node.uptime()), node.version)),
        ("Store", format!("{}, incarnation {}", node.store, node.incarnation)),
        ("Shards", format!("{} owned, {} serving", node.shards_owned, node.shards_serving)),
        ("Calls", format!("{}, {} failed", node.calls_total, node.calls_failed_total)),
        ("Commits", node.commits_total.to_string()),
        ("Gateway", node.gateway_address.clone()),
        ("Mesh", node.mesh_address.clone()),
        ("Admin", node.admin_address.clone()),
        ("Health", node.health_address.clone()),
        ("Activations", node.activations.to_string()),
    ]);
    block(&mut text, "Activations by type", counts(&node.activations_by_type));
    text
}

pub(super) fn actor(actor: &ActorDescription) -> String {
    let state = match &actor.placement {
        Some(placement) => format!(
            "active on {} since {}, {} calls waiting",
            placement.node,
            placement.activated(),
            placement.mailbox()
        ),
        None => "not in memory; the next call activates it".to_owned(),
    };
    let mut text = lines(&[
        ("Actor", actor.actor.clone()),
        ("State", state),
        ("Shard", format!("{} at epoch {}", actor.shard.shard, actor.shard.epoch)),
        ("Owner", actor.shard.owner.clone()),
    ]);
    block(&mut text, "Methods", actor.methods.iter().cloned());
    text
}

pub(super) fn shard(description: &ShardDescription) -> String {
    let shard = &description.shard;
    let mut text = lines(&[
        ("Shard", shard.shard.to_string()),
        ("Epoch", shard.epoch.to_string()),
        ("Owner", format!("{}, incarnation {}", shard.owner, shard.owner_incarnation)),
        ("Store", shard.owner_store.clone()),
        ("In sync", shard.in_sync.join(", ")),
        ("Served by", if shard.served_by.is_empty() { "nobody".into() } else { shard.served_by.join(", ") }),
    ]);
    block(&mut text, "Active actors", description.placements.iter().map(PlacementRow::actor));
    text
}

pub(super) fn actor_type(row: &TypeRow) -> String {
    let mut text = lines(&[
        ("Type", row.name.clone()),
        ("Durability", row.durability.clone()),
        ("Group", row.group.clone()),
        ("Activations", row.activations.to_string()),
    ]);
    block(&mut text, "Methods", row.methods.iter().map(|method| method_line(row, method)));
    block(&mut text, "Active on", counts(&row.nodes));
    text
}

/// What a method promises is said if its type promises something else.
fn method_line(row: &TypeRow, method: &MethodRow) -> String {
    let line = format!("{}  {}", method.signature(), method.access);
    match &method.durability {
        promise if promise.is_empty() || *promise == row.durability => line,
        promise => format!("{line}, {promise}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get::ShardRow;
    use crate::get::tests::{placement, status};

    fn shard_row() -> ShardRow {
        ShardRow {
            shard: 7,
            epoch: 2,
            owner: "demo-1".into(),
            owner_store: "store-1".into(),
            owner_incarnation: 3,
            in_sync: vec!["store-1".into()],
            served_by: Vec::new(),
        }
    }

    #[test]
    fn a_node_is_described_whether_it_is_there_or_not() {
        insta::assert_snapshot!(node(&NodeRow::from(status(0))), @r"
        Name:         demo-0
        Cluster:      demo
        Phase:        Active
        Process:      100, up 1m01s, version 0.1.0
        Store:        0190, incarnation 3
        Shards:       342 owned, 341 serving
        Calls:        1000, 2 failed
        Commits:      900
        Gateway:      127.0.0.1:4000
        Mesh:         127.0.0.1:4100
        Admin:        127.0.0.1:4200
        Health:       127.0.0.1:4300
        Activations:  12
        Activations by type:
          Counter: 12
        ");
        insta::assert_snapshot!(node(&NodeRow::absent("demo-1")), @r"
        Name:   demo-1
        Phase:  Absent
        ");
    }

    #[test]
    fn a_group_has_a_line_where_there_is_one() {
        let grouped = NodeRow { group: "gpu".into(), ..NodeRow::from(status(0)) };
        assert!(node(&grouped).contains("\nGroup:        gpu\n"), "{}", node(&grouped));
        assert!(!node(&NodeRow::from(status(0))).contains("Group"));
    }

    #[test]
    fn an_actor_is_described_whether_it_is_active_or_not() {
        let mut description = ActorDescription {
            actor: "Counter/page-1".into(),
            shard: shard_row(),
            placement: Some(placement("page-1", 7)),
            methods: vec!["add(by)".into()],
        };
        insta::assert_snapshot!(actor(&description), @r"
        Actor:  Counter/page-1
        State:  active on demo-1 since 3000-01-01T00:00:00Z, 0 calls waiting
        Shard:  7 at epoch 2
        Owner:  demo-1
        Methods:
          add(by)
        ");
        description.placement = None;
        insta::assert_snapshot!(actor(&description), @r"
        Actor:  Counter/page-1
        State:  not in memory; the next call activates it
        Shard:  7 at epoch 2
        Owner:  demo-1
        Methods:
          add(by)
        ");
    }

    #[test]
    fn a_shard_is_described_with_its_actors() {
        let description = ShardDescription { shard: shard_row(), placements: vec![placement("page-1", 7)] };
        insta::assert_snapshot!(shard(&description), @r"
        Shard:      7
        Epoch:      2
        Owner:      demo-1, incarnation 3
        Store:      store-1
        In sync:    store-1
        Served by:  nobody
        Active actors:
          Counter/page-1
        ");
    }
}
