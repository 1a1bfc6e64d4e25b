//! The plan as a whole: it comes to rest, it puts back what is ours, and it leaves alone what is not.

use greenroom_crds::names;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::World;
use super::{FULL, GROUPS, SMALLEST, at, cluster};
use crate::step::{Kind, ObjectKey, Step};

#[test]
fn a_fresh_cluster_is_made_in_the_order_of_the_kinds() {
    let world = World::new(cluster(SMALLEST));
    let told: Vec<_> = world
        .plan()
        .steps
        .iter()
        .map(|step| match step {
            Step::Apply { key, .. } => format!("{:?} {}", key.kind, key.name),
            Step::CreatePage(page) => format!("ShardMap {}", page.metadata.name.as_deref().unwrap()),
            other => format!("{other:?}"),
        })
        .collect();
    let expected = [
        "ServiceAccount demo-node",
        "Role demo-node",
        "RoleBinding demo-node",
        "ConfigMap demo-node",
        "Service demo-gateway",
        "Service demo-mesh",
        "NetworkPolicy demo-node",
        "PodDisruptionBudget demo",
        "StatefulSet demo",
        "ShardMap demo-0",
        "ShardMap demo-1",
        "ShardMap demo-2",
        "ShardMap demo-3",
    ];
    assert_eq!(told, expected);
}

#[test]
fn it_comes_to_rest_with_all_nodes_serving() {
    for yaml in [SMALLEST, FULL, GROUPS] {
        let mut world = World::new(cluster(yaml));
        let events = world.converge();
        assert_eq!(world.condition("Ready").status, "True");
        let last = events.last().unwrap();
        assert_eq!((last.reason, last.warning), ("AllNodesServe", false));
    }
}

#[test]
fn a_cluster_that_is_being_deleted_is_left_to_the_garbage_collector() {
    let mut world = World::new(cluster(SMALLEST));
    world.converge();
    world.children.clear();
    world.cluster.metadata.deletion_timestamp = Some(at(0).into());
    assert_eq!(world.plan().steps, []);
}

/// A new cluster of the same name cannot have its objects before the old one's are gone.
#[test]
fn objects_of_an_earlier_cluster_are_waited_for() {
    let mut world = World::new(cluster(SMALLEST));
    world.converge();
    world.cluster.metadata.uid = Some("another".into());
    let plan = world.plan();
    assert_eq!(plan.steps, []);
    let ready = plan.status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "WaitingForDeletion"));
}

#[test]
fn what_is_no_longer_built_is_pruned_if_it_is_ours() {
    let mut world = World::new(cluster(SMALLEST));
    world.converge();
    let role = ObjectKey { kind: Kind::Role, name: names::node_objects("demo") };
    let mut left = world.children[&role].clone();
    let key = |name: &str| ObjectKey { kind: Kind::Role, name: name.into() };
    world.children.insert(key("left-over"), left.clone());
    left["metadata"]["ownerReferences"] = json!([]);
    world.children.insert(key("foreign"), left);
    let plan = world.plan();
    assert!(matches!(plan.steps.as_slice(), [Step::Prune { key, .. }] if key.name == "left-over"));
    assert_eq!(plan.events[0].reason, "Pruned");
}

/// What is no longer said is taken back, though what is said has not changed otherwise.
#[test]
fn a_removed_field_is_noticed_by_the_hash() {
    let mut world = World::new(cluster(FULL));
    world.converge();
    world.edit(|cluster| cluster.spec.pod.node_selector.clear());
    let plan = world.plan();
    assert!(matches!(plan.steps.as_slice(), [Step::Apply { key, .. }] if key.kind == Kind::StatefulSet));
    world.converge();
    let key = ObjectKey { kind: Kind::StatefulSet, name: "full".into() };
    assert_eq!(world.children[&key]["spec"]["template"]["spec"].get("nodeSelector"), None);
}

/// The pointers of all single values of an object.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(field, value)| {
                let field = field.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{at}/{field}"), found);
            });
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{at}/{index}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_second_plan_contains_no_step_and_says_the_same(
        yaml in prop::sample::select(vec![SMALLEST, FULL, GROUPS]),
        converged: bool,
        memory: bool,
        image in prop::option::of("[a-z]{1,8}"),
        env in prop::collection::btree_map("[A-Z]{1,5}", "[a-z]{0,5}", 0..4),
        replicas in 1u16..6,
        edited_image in prop::option::of("[a-z]{1,8}"),
    ) {
        let mut world = World::new(cluster(yaml));
        if memory {
            world.cluster.spec.storage = serde_json::from_value(json!({"engine": "memory"})).unwrap();
        }
        world.cluster.spec.image = image;
        world.cluster.spec.env = serde_json::from_value(
            env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect(),
        ).unwrap();
        if converged {
            world.converge();
            world.edit(|cluster| {
                cluster.spec.image = edited_image;
                cluster.spec.replicas = replicas;
            });
        }
        let first = world.plan();
        world.carry_out(&first, usize::MAX);
        let second = world.plan();
        prop_assert_eq!(&second.steps, &[]);
        prop_assert_eq!(second.status, first.status);
        prop_assert_eq!(second.events, []);
    }

    #[test]
    fn a_field_of_ours_is_put_back_and_one_of_others_stays(yaml in prop::sample::select(vec![SMALLEST, FULL, GROUPS]), pick: prop::sample::Index, of: prop::sample::Index) {
        let mut world = World::new(cluster(yaml));
        let made: Vec<_> = world.plan().steps.into_iter().filter_map(|step| match step {
            Step::Apply { key, object } => Some((key, object)),
            _ => None,
        }).collect();
        world.converge();
        let (key, desired) = of.get(&made);
        let mut found = Vec::new();
        leaves(desired, "", &mut found);
        // Another name is another object, and another owner means that it is leaving.
        found.retain(|it| !it.starts_with("/metadata/ownerReferences") && !["/metadata/name", "/metadata/namespace", "/kind"].contains(&it.as_str()));
        let pointer = pick.get(&found);

        let live = world.children.get_mut(key).unwrap();
        live["metadata"]["annotations"]["somebody.else/note"] = "stays".into();
        let plan = world.plan();
        prop_assert_eq!(plan.steps, []);

        let live = world.children.get_mut(key).unwrap();
        let field = live.pointer_mut(pointer).unwrap();
        // An empty value may be left out, and then the API server has done it.
        prop_assume!(*field != json!(""));
        *field = if field.is_number() { json!(99) } else { json!("changed by somebody else") };
        let plan = world.plan();
        prop_assert!(plan.steps.iter().any(|step| matches!(step, Step::Apply { key: applied, .. } if applied == key)), "{}", pointer);
        world.carry_out(&plan, usize::MAX);
        prop_assert_eq!(world.plan().steps, []);
        prop_assert_eq!(&world.children[key]["metadata"]["annotations"]["somebody.else/note"], "stays");
    }
}
