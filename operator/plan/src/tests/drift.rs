//! What is a difference and what is not.

use serde_json::{Value, json};

use crate::drift::differs;

fn live() -> Value {
    json!({
        "metadata": {"annotations": {"a": "1", "foreign": "x"}, "uid": "u"},
        "spec": {
            "replicas": 3,
            "ports": [{"port": 9, "protocol": "UDP"}, {"port": 7, "protocol": "TCP", "nodePort": 30_000}],
            "template": {"spec": {"containers": [
                {"name": "sidecar", "image": "s"},
                {
                    "name": "node",
                    "image": "i",
                    "args": ["node"],
                    "env": [{"name": "B"}, {"name": "A", "value": "1"}],
                    "terminationMessagePolicy": "File",
                },
            ]}},
        },
        "status": {"replicas": 3},
    })
}

fn desired() -> Value {
    json!({
        "metadata": {"annotations": {"a": "1"}},
        "spec": {
            "replicas": 3,
            "ports": [{"port": 7, "protocol": "TCP"}],
            "template": {"spec": {"containers": [{
                "name": "node",
                "image": "i",
                "args": ["node"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
            }]}},
        },
    })
}

#[test]
fn defaults_and_what_others_add_are_no_difference() {
    assert_eq!(differs(&desired(), &live()), None);
}

#[test]
fn a_changed_or_missing_field_is_named_with_its_path() {
    let node = "/spec/template/spec/containers/0";
    for (pointer, value, told) in [
        ("/spec/replicas".to_owned(), json!(5), "spec.replicas is 3, not 5"),
        ("/metadata/annotations/a".to_owned(), json!("2"), "metadata.annotations.a is \"1\", not \"2\""),
        (
            format!("{node}/image"),
            json!("j"),
            "spec.template.spec.containers[node].image is \"i\", not \"j\"",
        ),
        (format!("{node}/args"), json!([]), "spec.template.spec.containers[node].args has 1 items, not 0"),
        (
            format!("{node}/env/0/value"),
            json!("2"),
            "spec.template.spec.containers[node].env[A].value is \"1\", not \"2\"",
        ),
        (format!("{node}/env/0/name"), json!("C"), "spec.template.spec.containers[node].env[C] is missing"),
        ("/spec/ports/0/port".to_owned(), json!(8), "spec.ports[8,TCP] is missing"),
    ] {
        let mut desired = desired();
        *desired.pointer_mut(&pointer).unwrap() = value;
        assert_eq!(differs(&desired, &live()).unwrap().to_string(), told);
    }
}
