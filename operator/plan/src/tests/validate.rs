//! What is refused, and what goes on meanwhile.

use greenroom_crds::{Engine, names};
use serde_json::json;

use super::world::World;
use super::{SMALLEST, cluster, fresh, settings};
use crate::observed::PageSeen;
use crate::reasons::Reason;
use crate::validate::validate;

#[test]
fn a_change_of_replicas_is_refused_and_all_else_goes_on() {
    let mut world = World::made();
    world.edit(|cluster| {
        cluster.spec.replicas = 5;
        cluster.spec.image = Some("other".into());
    });
    let valid = validate(&world.observed(), &settings()).unwrap();
    assert_eq!((valid.spec.replicas, valid.image.as_str()), (3, "other"));
    let [problem] = valid.problems.as_slice() else { panic!("{:?}", valid.problems) };
    assert_eq!(problem.reason, Reason::ScaleRefused);
    assert!(problem.message.ends_with("; set replicas back to 3"), "{problem}");
    world.converge();
    assert_eq!(world.pods.len(), 3);
    assert_eq!(world.condition("Stalled").reason, "ScaleRefused");
    assert_eq!(world.condition("Ready").status, "False");
    assert!(world.pods.values().all(|pod| pod.image == "other"));

    world.edit(|cluster| cluster.spec.replicas = 3);
    world.converge();
    assert_eq!(world.condition("Ready").status, "True");
}

/// The number that counts is the one that the operator noted, not the one that somebody wrote into the StatefulSet.
#[test]
fn a_statefulset_that_somebody_scaled_is_put_back() {
    let mut world = World::made();
    world.tamper("/spec/replicas", json!(1));
    let valid = validate(&world.observed(), &settings()).unwrap();
    assert_eq!((valid.spec.replicas, valid.problems), (3, vec![]));
    let events = world.converge();
    assert!(
        events
            .iter()
            .any(|event| event.reason == "PutBack" && event.message.contains("spec.replicas is 1, not 3"))
    );
}

#[test]
fn storage_stays_as_it_was_made() {
    let refused = |edit: &dyn Fn(&mut greenroom_crds::ActorCluster), part: &str| {
        let mut world = World::made();
        world.edit(edit);
        let valid = validate(&world.observed(), &settings()).unwrap();
        assert_eq!(valid.spec.storage, cluster(SMALLEST).spec.storage);
        assert_eq!(valid.problems[0].reason, Reason::StorageChangeRefused);
        assert!(valid.problems[0].message.contains(part), "{}", valid.problems[0]);
        world.converge();
        assert_eq!(world.condition("Stalled").reason, "StorageChangeRefused");
    };
    refused(
        &|cluster| cluster.spec.storage.size.0 = "20Gi".into(),
        "storage.size of an existing cluster from 10Gi to 20Gi",
    );
    refused(
        &|cluster| cluster.spec.storage.storage_class_name = Some("fast".into()),
        "from the default class to fast",
    );
    refused(&|cluster| cluster.spec.storage.engine = Engine::Memory, "from sqlite to memory");

    let mut world = World::made();
    world.edit(|cluster| cluster.spec.storage.size.0 = "10240Mi".into());
    assert_eq!(validate(&world.observed(), &settings()).unwrap().problems, []);
}

/// Pages outlive their cluster: one of the same name that is made later takes them over, or says why not.
#[test]
fn a_shard_map_that_was_kept_decides_about_shards_and_replicas() {
    let mut observed = fresh(cluster(SMALLEST));
    let page = |shards, replicas| {
        vec![PageSeen { page: 0, shards: Some(shards), replicas: Some(replicas), groups: Vec::new() }]
    };
    observed.pages = page(1024, 3);
    assert_eq!(validate(&observed, &settings()).unwrap().problems, []);
    observed.pages = page(64, 2);
    let valid = validate(&observed, &settings()).unwrap();
    assert_eq!((valid.spec.shards, valid.spec.replicas), (64, 2));
    let reasons: Vec<_> = valid.problems.iter().map(|problem| problem.reason).collect();
    assert_eq!(reasons, [Reason::ShardsRefused, Reason::ScaleRefused]);
}

#[test]
fn a_spec_that_breaks_a_rule_changes_nothing() {
    let mut world = World::made();
    world.edit(|cluster| {
        cluster.spec.copies = 3;
        cluster.spec.image = Some("other".into());
    });
    let problem = validate(&world.observed(), &settings()).unwrap_err();
    assert_eq!(problem.reason, Reason::InvalidSpec);
    assert!(problem.message.contains("set copies to 1"), "{problem}");
    assert_eq!(world.plan().steps, []);
    world.converge();
    assert_eq!(world.condition("Stalled").reason, "InvalidSpec");
    assert_eq!(world.cluster.status.as_ref().unwrap().ready_replicas, 3);

    for spec in [
        json!({"replicas": 0}),
        json!({"replicas": 3, "shards": 0}),
        json!({"replicas": 3, "shards": 20_000}),
    ] {
        let mut observed = fresh(cluster(SMALLEST));
        observed.cluster.spec = serde_json::from_value(spec).unwrap();
        assert_eq!(validate(&observed, &settings()).unwrap_err().reason, Reason::InvalidSpec);
    }
}

#[test]
fn stock_nodes_stay_at_their_image_until_they_follow_the_operator() {
    let mut world = World::made();
    world.settings.node_image = "greenroom.dev/greenroom:0.2.0".into();
    assert_eq!(world.plan().steps, []);
    world.edit(|cluster| {
        let follow = (names::FOLLOW_STOCK_IMAGE_ANNOTATION.to_owned(), "true".to_owned());
        cluster.metadata.annotations = Some([follow].into());
    });
    world.converge();
    assert!(world.pods.values().all(|pod| pod.image == "greenroom.dev/greenroom:0.2.0"));
    // It does not go back when the user ceases to follow.
    world.edit(|cluster| cluster.metadata.annotations = None);
    assert_eq!(world.plan().steps, []);
}
