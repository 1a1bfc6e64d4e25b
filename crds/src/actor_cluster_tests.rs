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

fn groups(groups: Value) -> Value {
    json!({"groups": groups})
}

/// One group that differs in these fields.
fn group(fields: Value) -> Value {
    let mut whole = json!({"name": "gpu", "replicas": 1});
    whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    groups(json!([whole]))
}

#[test]
fn a_group_has_a_name_and_a_number_of_nodes_and_the_rest_by_default() {
    accepts(group(json!({})));
    let spec = cluster(group(json!({"replicas": 2}))).spec;
    assert_eq!((spec.groups[0].shards, &spec.groups[0].resources, &spec.groups[0].pod), (64, &None, &None));
    assert_eq!((spec.total_shards(), spec.total_replicas()), (1024 + 64, 3 + 2));
    assert_eq!(spec.node_names("demo"), ["demo-0", "demo-1", "demo-2", "demo-gpu-0", "demo-gpu-1"]);
}

#[test]
fn the_name_of_a_group_fits_the_names_of_pods() {
    for name in ["a", "gpu-2", "fifteen-letters"] {
        accepts(group(json!({"name": name})));
    }
    for name in ["", "GPU", "2", "gpu-", "g.u"] {
        refuses(group(json!({"name": name})), "spec.groups[0].name", "use a-z, 0-9 and '-'");
    }
    let named = |letters: usize| named(&"a".repeat(letters), group(json!({"name": "fifteen-letters"})));
    assert_eq!(named(36).validate_cel(), Ok(()));
    let (_, message) = refusal(named(37).validate_cel());
    assert!(message.contains("at most 51 characters for both"), "{message}");
}

#[test]
fn a_group_has_at_most_as_many_replicas_as_shards() {
    accepts(group(json!({"replicas": 2, "shards": 2})));
    refuses(
        group(json!({"replicas": 3, "shards": 2})),
        "spec.groups[0].replicas",
        "lower the group's replicas",
    );
}

#[test]
fn all_shards_together_have_a_limit() {
    let two = |shards: u16| {
        groups(json!([
            {"name": "a", "replicas": 1, "shards": 8000},
            {"name": "b", "replicas": 1, "shards": shards},
        ]))
    };
    accepts(two(16_384 - 1024 - 8000));
    refuses(two(16_384 - 1024 - 8000 + 1), "spec.groups", "lower shards, or those of a group");
}

#[test]
fn the_groups_and_their_shards_stay_and_their_replicas_may_change() {
    let (gpu, big) = (json!({"name": "gpu", "replicas": 1}), json!({"name": "big", "replicas": 1}));
    let both = groups(json!([gpu, big]));
    accepts_change(json!({}), groups(json!([])));
    accepts_change(
        group(json!({})),
        group(json!({"replicas": 2, "resources": {}, "pod": {"labels": {"a": "b"}}})),
    );
    for (from, to) in [
        (json!({}), group(json!({}))),
        (group(json!({})), json!({})),
        (group(json!({})), both.clone()),
        (both, groups(json!([big, gpu]))),
        (group(json!({})), group(json!({"name": "cpu"}))),
        (group(json!({})), group(json!({"shards": 65}))),
    ] {
        refuses_change(from, to, "spec.groups", "set them back");
    }
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
