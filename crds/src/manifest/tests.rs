//! Each kind of mistake with its place, its field and what is said about it.

use super::*;
use crate::{Engine, Storage};

const HEAD: &str = "apiVersion: greenroom.dev/v1alpha1\nkind: ActorCluster\nmetadata:\n  name: demo\n";

/// The problems of a text, one a line: `line:column field: message -> remedy`.
fn problems(yaml: &str) -> String {
    let problems = parse(yaml).expect_err("the text has a mistake");
    let shown = problems.iter().map(|problem| {
        let Problem { line, column, field, message, remedy } = problem;
        format!("{line}:{column} {field}: {message} -> {remedy}")
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// Checks a table of specs (the text from line 5 on; replicas are added) and what is said about each.
#[track_caller]
fn assert_problems(table: &[(&str, &str)]) {
    for (spec, expected) in table {
        let complete = spec.contains("replica") || *spec == "spec:\n" || spec.contains('[');
        let rest = if complete { "" } else { "  replicas: 3\n" };
        assert_eq!(&problems(&format!("{HEAD}{spec}{rest}")), expected, "\n{spec}");
    }
}

#[test]
fn the_smallest_cluster_has_six_lines_and_all_defaults() {
    let yaml = format!("{HEAD}spec:\n  replicas: 3\n");
    assert_eq!(yaml.lines().count(), 6);
    let cluster = parse(&yaml).unwrap();
    assert_eq!(cluster.metadata.name.as_deref(), Some("demo"));
    assert_eq!((cluster.spec.replicas, cluster.spec.shards, cluster.spec.gateway.port), (3, 1024, 7400));
    assert_eq!(cluster.spec.storage.engine, Engine::Sqlite);
}

#[test]
fn a_full_cluster_is_read_field_by_field() {
    let cluster = parse(include_str!("tests/full.yaml")).unwrap();
    assert_eq!(cluster.metadata.annotations.unwrap()["greenroom.dev/dev-command"], "cargo run");
    let spec = cluster.spec;
    assert_eq!(spec.image.as_deref(), Some("registry.example/counters:1"));
    assert_eq!(spec.storage.size.0, "10Gi");
    assert_eq!(spec.resources.unwrap().limits.unwrap()["cpu"].0, "2");
    assert_eq!(
        spec.env[1].value_from.as_ref().unwrap().field_ref.as_ref().unwrap().field_path,
        "status.hostIP"
    );
    assert_eq!(spec.pod.tolerations[0].toleration_seconds, Some(30));
    assert_eq!(spec.pod.topology_spread_constraints[0].max_skew, 1);
    assert_eq!(cluster.status, None, "the status of an author does not count");
}

#[test]
fn a_whole_number_without_quotes_is_a_quantity() {
    let limits = "resources: {limits: {nvidia.com/gpu: 1}}";
    let group = format!("  groups:\n  - {{name: gpu, replicas: 2, {limits}}}\n");
    let spec = parse(&format!("{HEAD}spec:\n  replicas: 2\n  {limits}\n{group}")).unwrap().spec;
    for resources in [spec.resources, spec.groups[0].resources.clone()] {
        assert_eq!(resources.unwrap().limits.unwrap()["nvidia.com/gpu"].0, "1");
    }
}

#[test]
fn an_empty_field_means_its_default() {
    let cluster = parse(&format!("{HEAD}spec:\n  replicas: 2\n  image:\n  storage:\n")).unwrap();
    assert_eq!((cluster.spec.replicas, cluster.spec.image), (2, None));
    assert_eq!(cluster.spec.storage, Storage::default());
}

#[test]
fn other_kinds_in_the_text_are_passed_over() {
    let other = "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\nanything: [1]\n";
    let cluster = parse(&format!("{other}---\n{HEAD}spec: {{replicas: 1}}\n---\n---\n{other}")).unwrap();
    assert_eq!(cluster.metadata.name.as_deref(), Some("demo"));
}

#[test]
fn a_text_without_one_cluster_is_refused() {
    let begin = "begin with `apiVersion: greenroom.dev/v1alpha1` and `kind: ActorCluster`";
    let other = "kind: Namespace\n";
    for (yaml, expected) in [
        (String::new(), format!("1:1 : there is no ActorCluster in the text -> {begin}")),
        ("# nothing\n".to_owned(), format!("1:1 : there is no ActorCluster in the text -> {begin}")),
        (format!("{other}---\n{other}"), format!("1:1 : there is no ActorCluster in the text -> {begin}")),
        ("\nspec: {}\n".to_owned(), format!("2:1 kind: is missing -> {begin}")),
        ("- 1\n".to_owned(), format!("1:1 kind: is missing -> {begin}")),
        (other.to_owned(), format!("1:7 kind: is `Namespace`, not `ActorCluster` -> {begin}")),
        (
            "kind: ActorClutser\n".to_owned(),
            "1:7 kind: is `ActorClutser`, not `ActorCluster` -> did you mean `ActorCluster`?".to_owned(),
        ),
        (
            format!("{HEAD}spec: {{}}\n---\n{HEAD}spec: {{}}\n"),
            "7:1 : this is the second ActorCluster of the text -> keep one ActorCluster in a file".to_owned(),
        ),
    ] {
        assert_eq!(problems(&yaml), expected, "\n{yaml}");
    }
}

#[test]
fn what_is_no_yaml_is_refused_at_its_place() {
    assert_problems(&[
        (
            "spec:\n  env: [1\n",
            "6:8 : is no valid YAML: unclosed bracket '[' -> correct the YAML here or in the line above",
        ),
        (
            "spec:\n  replicas: 3\n  replicas: 4\n",
            "7:3 : is no valid YAML: duplicate mapping key: replicas not allowed here -> correct the YAML here or in the line above",
        ),
        (
            "spec:\n\treplicas: 3\n",
            "6:2 : is no valid YAML: tabs disallowed within this context (block indentation) -> correct the YAML here or in the line above",
        ),
    ]);
}

#[test]
fn the_head_is_checked() {
    for (yaml, expected) in [
        (
            "apiVersion: greenroom.dev/v1\nkind: ActorCluster\nmetadata: {name: a}\nspec: {replicas: 1}\n",
            "1:13 apiVersion: cannot be `greenroom.dev/v1` -> did you mean `greenroom.dev/v1alpha1`?",
        ),
        (
            "kind: ActorCluster\nmetadata: {}\n",
            "1:1 apiVersion: is missing -> add `apiVersion: greenroom.dev/v1alpha1`\n\
             1:1 spec: is missing -> add `spec:` with its fields below it, indented\n\
             2:11 metadata.name: is missing -> add `name: ` and a value",
        ),
    ] {
        assert_eq!(problems(yaml), expected, "\n{yaml}");
    }
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_one() {
    assert_problems(&[
        (
            "spec:\n  replica: 3\n",
            "6:3 spec.replica: is no field that exists here -> did you mean `replicas`?",
        ),
        ("spec:\n  Shards: 3\n", "6:3 spec.Shards: is no field that exists here -> did you mean `shards`?"),
        (
            "spec:\n  size: 1Gi\n",
            "6:3 spec.size: is no field that exists here -> write it as `spec.storage.size`",
        ),
        (
            "spec: {}\nreplicas: 3\n",
            "5:7 spec.replicas: is missing -> add `replicas: 1`\n\
             6:1 replicas: is no field that exists here -> write it as `spec.replicas`",
        ),
        (
            "spec:\n  gateway:\n    colour: red\n",
            "7:5 spec.gateway.colour: is no field that exists here -> remove it; the fields here are port, type",
        ),
        (
            "spec:\n  env:\n  - name: A\n    valueOf: b\n",
            "8:5 spec.env[0].valueOf: is no field that exists here -> did you mean `value`?",
        ),
    ]);
}

#[test]
fn a_wrong_type_is_named() {
    assert_problems(&[
        (
            "spec:\n  replicas: three\n",
            "6:13 spec.replicas: must be a whole number, but is the string `three` -> write a whole number, 1 to 100",
        ),
        (
            "spec:\n  shards: 1.5\n",
            "6:11 spec.shards: must be a whole number, but is `1.5` -> write a whole number, for example 1024",
        ),
        (
            "spec:\n  env:\n  - name: DEBUG\n    value: yes\n",
            "8:12 spec.env[0].value: must be a string, but is `true` -> put the value in quotes",
        ),
        (
            "spec:\n  env:\n    DEBUG: x\n",
            "7:5 spec.env: must be a list, but is a map -> write its items below it, each after `- `, or [] for none",
        ),
        (
            "spec:\n  storage: 10Gi\n",
            "6:12 spec.storage: must be a map of fields, but is the string `10Gi` -> write its fields below it, indented, or {} for none",
        ),
        (
            "spec:\n",
            "5:5 spec: must be a map of fields, but is empty -> write its fields below it, indented, or {} for none",
        ),
        (
            "spec:\n  pod:\n    labels: {a: 1}\n",
            "7:17 spec.pod.labels.a: must be a string, but is `1` -> put the value in quotes",
        ),
        (
            "spec:\n  resources:\n    limits: {cpu: 0.5}\n",
            "7:19 spec.resources.limits.cpu: must be a quantity, but is `0.5` -> write a quantity, for example 500m or 2Gi",
        ),
        (
            "spec:\n  resources:\n    limits: {cpu: true}\n",
            "7:19 spec.resources.limits.cpu: must be a quantity, but is `true` -> write a quantity, for example 500m or 2Gi",
        ),
    ]);
}

#[test]
fn a_value_out_of_bounds_is_refused_with_the_bounds() {
    assert_problems(&[
        (
            "spec:\n  replicas: 0\n",
            "6:13 spec.replicas: is too small: 0 -> give a number in the range 1 to 100",
        ),
        (
            "spec:\n  shards: 16385\n",
            "6:11 spec.shards: is too large: 16385 -> give a number in the range 1 to 16384",
        ),
        (
            "spec:\n  image: ''\n",
            "6:10 spec.image: the image is empty or contains a space -> write it as registry/name:tag, or leave it out for the stock node",
        ),
        (
            "spec:\n  storage: {engine: SQLite}\n",
            "6:21 spec.storage.engine: cannot be `SQLite` -> did you mean `sqlite`?",
        ),
        (
            "spec:\n  gateway: {type: Outside}\n",
            "6:19 spec.gateway.type: cannot be `Outside` -> use one of ClusterIP, NodePort, LoadBalancer",
        ),
        (
            "spec:\n  resources:\n    limits: {memory: lots}\n",
            "7:22 spec.resources.limits.memory: cannot be `lots` -> write what belongs here: A quantity, for example 500m or 2Gi.",
        ),
        (
            "spec:\n  env:\n  - name: A\n  - name: A\n",
            "8:5 spec.env[1]: has the name `A` of an earlier item -> remove one of the two",
        ),
        (
            "spec:\n  replicas: 3\n  groups:\n  - {name: gpu, replicas: 1}\n  - {name: gpu, replicas: 2}\n",
            "9:5 spec.groups[1]: has the name `gpu` of an earlier item -> remove one of the two",
        ),
        ("spec:\n  env:\n  - value: a\n", "7:5 spec.env[0].name: is missing -> add `name: ` and a value"),
    ]);
}

#[test]
fn a_broken_rule_points_at_its_field() {
    assert_problems(&[
        (
            "spec:\n  copies: 2\n",
            "6:11 spec.copies: this version keeps one copy of each shard -> set copies to 1 or leave it out, and back the volumes up",
        ),
        (
            "spec:\n  replicas: 9\n  shards: 8\n",
            "6:13 spec.replicas: there are more replicas than shards, and a node without a shard has nothing to do -> lower replicas, or make the cluster with more shards",
        ),
        (
            "spec:\n  storage:\n    size: much\n    engine: sled\n",
            "7:11 spec.storage.size: the size of a volume is a whole number with a unit -> write it like 10Gi, with one of Mi, Gi, Ti, M, G, T\n\
             8:13 spec.storage.engine: this version has the engines sqlite and memory only -> use sqlite, or memory for state that may be lost",
        ),
        (
            "spec:\n  pod:\n    labels:\n      greenroom.dev/node: x\n",
            "7:5 spec.pod.labels: Greenroom finds its pods by the labels greenroom.dev/* and app.kubernetes.io/name, instance, component and managed-by -> use other names",
        ),
    ]);
    let long = format!("{}spec: {{replicas: 1}}\n", HEAD.replace("demo", &"a".repeat(41)));
    assert_eq!(
        problems(&long),
        "4:9 metadata.name: the name begins the names of the pods and is not valid for them -> use at most 40 of a-z, 0-9 and '-', first a letter, last no '-'"
    );
}

#[test]
fn all_mistakes_are_told_in_the_order_of_their_places() {
    let yaml = "spec:\n  shards: x\n  colour: red\n  replicas: 0\n";
    let shown = problems(&format!("{HEAD}{yaml}"));
    let lines: Vec<_> = shown.lines().map(|line| &line[..1]).collect();
    assert_eq!(lines, ["6", "7", "8"], "{shown}");
}

#[test]
fn a_value_behind_an_alias_is_pointed_at_where_it_is_used() {
    let yaml = "metadata:\n  name: demo\n  labels: {a: &three three}\nspec:\n  replicas: *three\n";
    let shown = problems(&format!("apiVersion: greenroom.dev/v1alpha1\nkind: ActorCluster\n{yaml}"));
    assert!(shown.starts_with("7:13 spec.replicas: must be a whole number"), "{shown}");
}
