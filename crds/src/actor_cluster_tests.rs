//! Every rule of `ActorCluster` with a case that it accepts and one that it refuses.

use kube::core::cel::ValidationErrors;
use serde_json::{Value, json};

use super::*;

fn named(name: &str, spec: Value) -> ActorCluster {
    let mut whole = json!({"replicas": 3});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    ActorCluster::new(name, serde_json::from_value(whole).unwrap())
}

fn cluster(spec: Value) -> ActorCluster {
    named("demo", spec)
}

/// The place and the message of the one rule that refuses.
fn refusal(outcome: Result<(), ValidationErrors>) -> (String, String) {
    let errors = outcome.unwrap_err().into_vec();
    let [error] = errors.as_slice() else { panic!("one rule should refuse, not {errors:?}") };
    assert!(error.message.contains("; "), "no remedy: {}", error.message);
    (error.field_path.clone(), error.message.clone())
}

#[track_caller]
fn accepts(spec: Value) {
    assert_eq!(cluster(spec).validate_cel(), Ok(()));
}

#[track_caller]
fn refuses(spec: Value, field: &str, message: &str) {
    let (place, told) = refusal(cluster(spec).validate_cel());
    assert_eq!(place, field);
    assert!(told.contains(message), "{told}");
}

#[track_caller]
fn accepts_change(from: Value, to: Value) {
    assert_eq!(cluster(to).validate_cel_update(&cluster(from)), Ok(()));
}

#[track_caller]
fn refuses_change(from: Value, to: Value, field: &str, message: &str) {
    let (place, told) = refusal(cluster(to).validate_cel_update(&cluster(from)));
    assert_eq!(place, field);
    assert!(told.contains(message), "{told}");
}

#[test]
fn the_smallest_spec_is_a_whole_cluster() {
    let spec = cluster(json!({})).spec;
    assert_eq!((spec.replicas, spec.copies, spec.shards), (3, 1, 1024));
    assert_eq!((spec.storage, spec.gateway), (Storage::default(), Gateway::default()));
    assert_eq!((spec.image, spec.resources, spec.env, spec.pod.is_empty()), (None, None, vec![], true));
    accepts(json!({}));
    accepts_change(json!({}), json!({"replicas": 5}));
}

#[test]
fn the_name_leaves_room_for_the_names_of_pods() {
    for name in ["a", "demo-1", &"a".repeat(40)] {
        assert_eq!(named(name, json!({})).validate_cel(), Ok(()), "{name}");
    }
    for name in ["Demo", "1demo", "demo-", "demo.a", "de_mo", &"a".repeat(41)] {
        let (_, message) = refusal(named(name, json!({})).validate_cel());
        assert!(message.contains("use at most 40 of a-z"), "{name}: {message}");
    }
}

#[test]
fn there_are_at_most_as_many_replicas_as_shards() {
    accepts(json!({"replicas": 4, "shards": 4}));
    refuses(json!({"replicas": 5, "shards": 4}), "spec.replicas", "lower replicas");
}

#[test]
fn an_image_is_one_word() {
    accepts(json!({"image": "registry.example/counters:1.2@sha256:ab"}));
    refuses(json!({"image": ""}), "spec.image", "leave it out for the stock node");
    refuses(json!({"image": "counters 1.2"}), "spec.image", "write it as registry/name:tag");
}

#[test]
fn there_is_one_copy_of_each_shard_for_now() {
    accepts(json!({"copies": 1}));
    refuses(json!({"copies": 3}), "spec.copies", "set copies to 1");
}

#[test]
fn the_number_of_shards_stays() {
    accepts_change(json!({"shards": 64}), json!({"shards": 64, "replicas": 9}));
    refuses_change(json!({"shards": 64}), json!({"shards": 65}), "spec.shards", "set it back");
}

#[test]
fn the_engine_is_one_that_exists_and_it_stays() {
    accepts(json!({"storage": {"engine": "sqlite"}}));
    accepts(json!({"storage": {"engine": "memory"}}));
    for engine in ["lmdb", "sled", "postgres"] {
        refuses(json!({"storage": {"engine": engine}}), "spec.storage.engine", "use sqlite, or memory");
    }
    let memory = json!({"storage": {"engine": "memory"}});
    accepts_change(memory.clone(), memory.clone());
    refuses_change(json!({}), memory, "spec.storage.engine", "set the engine back");
}

#[test]
fn the_size_has_a_unit_and_only_grows() {
    let of = |size: &str| json!({"storage": {"size": size}});
    accepts(of("500Mi"));
    for size in ["", "10", "ten", "0Gi", "-1Gi", "10GB", "1.5Gi"] {
        refuses(of(size), "spec.storage.size", "write it like 10Gi");
    }
    accepts_change(of("1Gi"), of("1025Mi"));
    refuses_change(of("1Gi"), of("1023Mi"), "spec.storage.size", "a volume cannot shrink");
}

#[test]
fn the_storage_class_stays() {
    let of = |class: &str| json!({"storage": {"storageClassName": class}});
    accepts_change(of("fast"), of("fast"));
    for (from, to) in [(of("fast"), of("slow")), (json!({}), of("fast")), (of("fast"), json!({}))] {
        refuses_change(from, to, "spec.storage.storageClassName", "set storageClassName back");
    }
}

#[test]
fn the_environment_keeps_off_what_is_made_from_the_spec() {
    let of = |name: &str| json!({"env": [{"name": name, "value": "9"}]});
    for name in ["GREENROOM_LOG", "GREENROOM_LOG_FORMAT", "GREENROOM_DRAIN_SECONDS", "GREENROOMS", "PORT"] {
        accepts(of(name));
    }
    for name in ["GREENROOM_REPLICAS", "GREENROOM_TLS_DIR", "GREENROOM_NAMESPACE", "GREENROOM_LOG_"] {
        refuses(of(name), "spec.env", "set replicas, shards");
    }
}

#[test]
fn labels_and_annotations_of_greenroom_are_its_own() {
    for field in ["labels", "annotations"] {
        let of = |key: &str| json!({"pod": {field: {key: "x"}}});
        accepts(of("team"));
        refuses(of("greenroom.dev/cluster"), &format!("spec.pod.{field}"), "use other names");
    }
    refuses(
        json!({"pod": {"labels": {"app.kubernetes.io/name": "x"}}}),
        "spec.pod.labels",
        "use other names",
    );
}
