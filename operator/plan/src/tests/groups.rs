//! Groups of nodes: rolled with the others one at a time, counted with them, and kept as they were made.

use greenroom_crds::NodeGroup;
use serde_json::json;

use super::world::World;
use super::{GROUPS, SMALLEST, cluster, fresh, settings};
use crate::observed::PageSeen;
use crate::reasons::Reason;
use crate::step::{Kind, ObjectKey, Step};
use crate::validate::validate;

fn made() -> World {
    let mut world = World::new(cluster(GROUPS));
    world.converge();
    world
}

fn names(world: &World) -> Vec<&str> {
    world.pods.keys().map(String::as_str).collect()
}

#[test]
fn every_group_has_its_pods_and_the_status_counts_them_all() {
    let world = made();
    assert_eq!(names(&world), ["chat-0", "chat-1", "chat-big-0", "chat-gpu-0", "chat-gpu-1"]);
    let status = world.cluster.status.unwrap();
    assert_eq!((status.desired_replicas, status.replicas, status.ready_replicas), (Some(5), 5, 5));
    let shown: Vec<_> = status.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(shown, ["chat-0", "chat-1", "chat-gpu-0", "chat-gpu-1", "chat-big-0"]);
}

/// One node of the whole cluster at a time, however many StatefulSets there are, and the first general node last.
#[test]
fn a_roll_goes_through_all_nodes_one_at_a_time() {
    let mut world = made();
    world.edit(|cluster| cluster.spec.image = Some("new".into()));
    let mut replaced = Vec::new();
    for _ in 0..100 {
        let plan = world.plan();
        if let [Step::DeletePod { pod }] = plan.steps.as_slice() {
            replaced.push(pod.name.clone());
        }
        world.carry_out(&plan, usize::MAX);
        assert!(world.serving() >= 4, "{:?}", world.pods);
        world.control();
        names(&world.clone()).iter().for_each(|name| world.go_on(name));
    }
    assert_eq!(replaced, ["chat-big-0", "chat-gpu-1", "chat-gpu-0", "chat-1", "chat-0"]);
    assert!(world.pods.values().all(|pod| pod.image == "new" && pod.serves()));
}

#[test]
fn what_only_a_group_gets_rolls_only_that_group() {
    let mut world = made();
    let before = world.pods.clone();
    world.edit(|cluster| {
        let gpu = &mut cluster.spec.groups[0];
        gpu.resources = Some(serde_json::from_value(json!({"limits": {"nvidia.com/gpu": "2"}})).unwrap());
    });
    world.converge();
    let changed: Vec<_> =
        names(&world).into_iter().filter(|name| world.pods[*name].uid != before[*name].uid).collect();
    assert_eq!(changed, ["chat-gpu-0", "chat-gpu-1"]);
}

/// While one StatefulSet is not as it should be, no node of any is replaced.
#[test]
fn a_roll_waits_for_every_statefulset() {
    let mut world = made();
    world.edit(|cluster| cluster.spec.image = Some("new".into()));
    let plan = world.plan();
    world.carry_out(&plan, usize::MAX);
    world.control();
    let unseen = ObjectKey { kind: Kind::StatefulSet, name: "chat-big".into() };
    world.children.get_mut(&unseen).unwrap()["status"]["observedGeneration"] = json!(0);
    assert_eq!(world.plan().steps, []);
    world.control();
    assert!(matches!(world.plan().steps.as_slice(), [Step::Drain { .. }]));
}

#[test]
fn a_change_of_a_groups_replicas_is_refused_and_all_else_goes_on() {
    let mut world = made();
    world.edit(|cluster| {
        cluster.spec.groups[0].replicas = 4;
        cluster.spec.image = Some("other".into());
    });
    let valid = validate(&world.observed(), &settings()).unwrap();
    assert_eq!((valid.spec.groups[0].replicas, valid.image.as_str()), (2, "other"));
    let [problem] = valid.problems.as_slice() else { panic!("{:?}", valid.problems) };
    assert_eq!(problem.reason, Reason::ScaleRefused);
    assert!(problem.message.contains("the group gpu from 2 to 4"), "{problem}");
    world.converge();
    assert_eq!(names(&world).len(), 5);
    assert!(world.pods.values().all(|pod| pod.image == "other"));
}

/// Pages outlive their cluster: one of the same name that is made later has the same groups, or is told why not.
#[test]
fn a_shard_map_that_was_kept_decides_about_the_groups() {
    let kept = made().pages;
    let judged = |yaml: &str, groups: Option<&[NodeGroup]>| {
        let mut observed = fresh(cluster(yaml));
        observed.pages = kept.clone();
        observed.cluster.spec.groups = groups.map_or(observed.cluster.spec.groups, <[_]>::to_vec);
        validate(&observed, &settings()).unwrap()
    };
    assert_eq!(judged(GROUPS, None).problems, []);
    let groups = cluster(GROUPS).spec.groups;
    let swapped = [groups[1].clone(), groups[0].clone()];
    for other in [&groups[..1], &[], &swapped] {
        let valid = judged(GROUPS, Some(other));
        let [problem] = valid.problems.as_slice() else { panic!("{:?}", valid.problems) };
        assert_eq!(problem.reason, Reason::ShardsRefused);
        assert!(
            problem.message.contains("has the groups gpu with 100 shards, big with 64 shards, not"),
            "{problem}"
        );
        let of = |groups: &[NodeGroup]| {
            groups.iter().map(|it| (it.name.clone(), it.shards, it.replicas)).collect::<Vec<_>>()
        };
        assert_eq!(of(&valid.spec.groups), of(&groups));
    }
    let mut more = groups.clone();
    more[0].replicas = 9;
    let valid = judged(GROUPS, Some(&more));
    assert_eq!((valid.problems[0].reason, valid.spec.groups[0].replicas), (Reason::ScaleRefused, 2));

    let mut observed = fresh(cluster(GROUPS));
    observed.pages = vec![PageSeen { page: 0, shards: Some(200), replicas: Some(2), groups: Vec::new() }];
    let valid = validate(&observed, &settings()).unwrap();
    assert_eq!((valid.spec.groups.len(), valid.problems[0].reason), (0, Reason::ShardsRefused));
}

/// `chat-gpu` is the StatefulSet of the group `gpu` of `chat`, and that of a cluster `chat-gpu`.
#[test]
fn a_name_that_belongs_to_another_cluster_is_not_taken() {
    let mut world = World::new(cluster(GROUPS));
    world.foreign.insert("chat-gpu".into(), "chat-gpu".into());
    assert_eq!(world.plan().steps, []);
    let problem = validate(&world.observed(), &settings()).unwrap_err();
    assert_eq!(problem.reason, Reason::NameTaken);
    assert!(
        problem.message.contains("which the group gpu needs, belongs to the ActorCluster chat-gpu; "),
        "{problem}"
    );
    world.converge();
    assert_eq!(world.condition("Stalled").reason, "NameTaken");
    world.foreign.clear();
    world.converge();
    assert_eq!(world.condition("Ready").status, "True");

    let mut later = fresh(cluster(SMALLEST));
    later.foreign.insert("demo".into(), "de".into());
    let problem = validate(&later, &settings()).unwrap_err();
    assert!(problem.message.contains("this cluster needs, belongs to the ActorCluster de; "), "{problem}");
}

/// A StatefulSet that seems to be of no use keeps nodes with state: it is left alone.
#[test]
fn a_statefulset_is_never_pruned() {
    let mut world = World::made();
    let key = |name: &str| ObjectKey { kind: Kind::StatefulSet, name: name.into() };
    let left = world.children[&key("demo")].clone();
    world.children.insert(key("demo-gpu"), left);
    assert_eq!(world.plan().steps, []);
}

/// What runs is still shown when the spec cannot be run.
#[test]
fn the_nodes_of_groups_are_shown_beside_a_spec_that_breaks_a_rule() {
    let mut world = made();
    world.edit(|cluster| cluster.spec.copies = 3);
    world.converge();
    assert_eq!(world.condition("Stalled").reason, "InvalidSpec");
    let status = world.cluster.status.unwrap();
    assert_eq!((status.replicas, status.ready_replicas, status.nodes.len()), (5, 5, 5));
}
