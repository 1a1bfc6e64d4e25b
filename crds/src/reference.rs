//! The reference page of `ActorCluster`, made from its schema, so that it cannot say anything else than the schema does.

use std::fmt::Write;

use serde_json::Value;

use crate::{ActorCluster, schema};

/// Where Kubernetes describes the types that we take over from it.
const KUBERNETES_API: &str = "https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.33/";

/// The fields whose type is Kubernetes' own, and the anchor of its description.
const KUBERNETES_TYPES: [(&str, &str, &str); 7] = [
    ("spec.env[]", "EnvVar", "envvar-v1-core"),
    ("spec.groups[].resources", "ResourceRequirements", "resourcerequirements-v1-core"),
    ("spec.resources", "ResourceRequirements", "resourcerequirements-v1-core"),
    ("spec.pod.affinity", "Affinity", "affinity-v1-core"),
    ("spec.pod.tolerations[]", "Toleration", "toleration-v1-core"),
    ("spec.pod.topologySpreadConstraints[]", "TopologySpreadConstraint", "topologyspreadconstraint-v1-core"),
    ("status.conditions[]", "Condition", "condition-v1-meta"),
];

/// The fields that have the same fields below them as another one, whose rows tell them.
const LIKE: [(&str, &str); 1] = [("spec.groups[].pod", "spec.pod")];

/// The reference of `ActorCluster` as Markdown: a table of path, type, default, description and rules of each field.
pub fn reference_markdown() -> String {
    let schema = schema::of::<ActorCluster>();
    let mut text = String::new();
    line(&mut text, format_args!("# ActorCluster\n\n{}", schema["description"].as_str().unwrap_or_default()));
    line(&mut text, format_args!("\nMade by `cargo xtask generate` from the schema; do not edit."));
    line(&mut text, format_args!("\n```yaml\napiVersion: greenroom.dev/v1alpha1\nkind: ActorCluster\n```"));
    line(&mut text, format_args!("\n`metadata.name`: {}.", rules(&schema).join("; ")));
    for section in ["spec", "status"] {
        line(&mut text, format_args!("\n## {section}\n\n| Field | Type | Default | Description | Rules |"));
        line(&mut text, format_args!("|---|---|---|---|---|"));
        rows(&mut text, section, &schema["properties"][section], false);
    }
    text
}

/// The row of a field and those of the fields below it.
fn rows(text: &mut String, path: &str, schema: &Value, required: bool) {
    let default = match schema.get("default") {
        // Those of the fields below say the same.
        None if required => "required".to_owned(),
        None | Some(Value::Object(_) | Value::Array(_)) => String::new(),
        Some(default) => format!("`{}`", default.as_str().map_or_else(|| default.to_string(), str::to_owned)),
    };
    let description = cell(schema["description"].as_str().unwrap_or_default());
    let rules = cell(&rules(schema).join("<br>"));
    line(
        text,
        format_args!("| `{path}` | {} | {default} | {description} | {rules} |", type_name(path, schema)),
    );
    fields(text, path, schema);
    fields(text, &format!("{path}[]"), &schema["items"]);
}

/// The rows of the fields of an object, unless Kubernetes or other rows describe them.
fn fields(text: &mut String, path: &str, schema: &Value) {
    if kubernetes_type(path).is_some() || like(path).is_some() {
        return;
    }
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        rows(text, &format!("{path}.{name}"), child, required(name));
    }
}

fn type_name(path: &str, schema: &Value) -> String {
    if let Some((_, name, anchor)) = kubernetes_type(path) {
        return format!("[{name}]({KUBERNETES_API}#{anchor})");
    }
    if let Some(other) = like(path) {
        return format!("as `{other}`");
    }
    let name = schema["type"].as_str().unwrap_or("any");
    match (name, schema["additionalProperties"]["type"].as_str()) {
        ("array", _) => format!("list of {}", type_name(&format!("{path}[]"), &schema["items"])),
        ("object", Some(value)) => format!("map of {value}"),
        _ => name.to_owned(),
    }
}

fn kubernetes_type(path: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    KUBERNETES_TYPES.iter().find(|(known, ..)| *known == path)
}

fn like(path: &str) -> Option<&'static str> {
    LIKE.iter().find(|(known, _)| *known == path).map(|(_, other)| *other)
}

/// The bounds, values and rules of a field, in words.
fn rules(schema: &Value) -> Vec<String> {
    let mut rules = Vec::new();
    let number = |keyword: &str| schema[keyword].as_f64();
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => rules.push(format!("{least} to {most}")),
        (Some(least), None) => rules.push(format!("{least} or more")),
        (None, Some(most)) => rules.push(format!("{most} or less")),
        (None, None) => {}
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        rules.push(format!("one of {}", values.join(", ")));
    }
    for (keyword, unit) in [("maxLength", "characters"), ("maxItems", "items"), ("maxProperties", "entries")]
    {
        if let Some(most) = schema[keyword].as_u64() {
            rules.push(format!("at most {most} {unit}"));
        }
    }
    let cel = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.extend(cel.filter_map(|rule| rule["message"].as_str()).map(str::to_owned));
    rules
}

/// Text that cannot break out of its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of a field.
    fn row(field: &str) -> String {
        let text = reference_markdown();
        let start = format!("| `{field}` |");
        text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no {field}")).to_owned()
    }

    #[test]
    fn a_row_tells_type_default_bounds_and_rules() {
        let shards = row("spec.shards");
        assert!(shards.starts_with("| `spec.shards` | integer | `1024` | Into how many shards"), "{shards}");
        assert!(shards.contains("| 1 to 16384<br>shards decides where every actor belongs"), "{shards}");
        assert!(row("spec.gateway.type").ends_with("| one of `ClusterIP`, `NodePort`, `LoadBalancer` |"));
        assert!(row("spec.pod.labels").contains("| map of string |"));
        assert!(row("spec.replicas").contains("| integer | required | How many nodes"));
        assert!(row("status.nodes[].shards").contains("| integer |  | How many shards it owns. |"));
    }

    #[test]
    fn kubernetes_own_types_are_linked_and_not_spelled_out() {
        for (path, name, _) in KUBERNETES_TYPES {
            let row = row(path.trim_end_matches("[]"));
            assert!(row.contains(&format!("[{name}](https://kubernetes.io/")), "{row}");
        }
        assert!(!reference_markdown().contains("spec.pod.affinity."));
    }

    #[test]
    fn fields_that_are_like_others_are_not_told_twice() {
        assert!(row("spec.groups[].pod").starts_with("| `spec.groups[].pod` | as `spec.pod` |"));
        assert!(!reference_markdown().contains("spec.groups[].pod."));
    }

    #[test]
    fn every_row_has_five_cells() {
        let text = reference_markdown();
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 40);
        for row in rows {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 6, "{row}");
        }
    }

    #[test]
    fn every_rule_says_what_to_do() {
        fn visit(schema: &Value, checked: &mut usize) {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let message = rule["message"].as_str().unwrap_or_default();
                let (_, remedy) = message.split_once("; ").unwrap_or_else(|| panic!("{rule} has no remedy"));
                assert!(!remedy.is_empty(), "{rule}");
                *checked += 1;
            }
            schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .for_each(|(_, child)| visit(child, checked));
            if schema["items"].is_object() {
                visit(&schema["items"], checked);
            }
        }
        let mut checked = 0;
        visit(&schema::of::<ActorCluster>(), &mut checked);
        assert!(checked > 10, "the rules were not found: {checked}");
    }
}
