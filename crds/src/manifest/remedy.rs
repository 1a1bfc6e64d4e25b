//! The words that tell an author what to do.

use serde_json::{Map, Value};

use super::source::Content;

/// From how similar two words are on (1 is the same), one is taken for a slip of the other.
const SIMILAR: f64 = 0.84;

/// The word that was probably meant, if one is near.
pub(super) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let nearness = |other: &str| strsim::jaro_winkler(&word.to_lowercase(), &other.to_lowercase());
    words
        .into_iter()
        .map(|other| (nearness(other), other))
        .filter(|(nearness, _)| *nearness >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, other)| other)
}

pub(super) fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

/// Where else in the spec a field of this name belongs: a slip of indentation.
pub(super) fn elsewhere(name: &str, root: &Value) -> Option<String> {
    let mut paths = Vec::new();
    let spec = &root["properties"]["spec"];
    collect(name, spec, "spec", &mut paths);
    match paths.as_slice() {
        [path] => Some(format!("write it as `{path}`")),
        _ => None,
    }
}

fn collect(name: &str, schema: &Value, path: &str, paths: &mut Vec<String>) {
    let properties = schema["properties"].as_object();
    for (key, child) in properties.into_iter().flatten() {
        let path = format!("{path}.{key}");
        collect(name, child, &path, paths);
        if key == name {
            paths.push(path);
        }
    }
}

/// The fields that there are.
pub(super) fn known_fields(properties: &Map<String, Value>) -> String {
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    format!("remove it; the fields here are {}", names.join(", "))
}

/// The values that there are.
pub(super) fn one_of(text: &str, names: &[&str]) -> String {
    match (nearest(text, names.iter().copied()), names) {
        (Some(nearest), _) => did_you_mean(nearest),
        (None, [only]) => format!("write `{only}`"),
        (None, _) => format!("use one of {}", names.join(", ")),
    }
}

/// What to add for a missing field.
pub(super) fn add(name: &str, schema: &Value) -> String {
    let least = schema["minimum"].as_f64().map(|least| least.to_string());
    match (schema["enum"][0].as_str().or(least.as_deref()), schema["type"].as_str()) {
        (Some(value), _) => format!("add `{name}: {value}`"),
        (None, Some("object")) => format!("add `{name}:` with its fields below it, indented"),
        _ => format!("add `{name}: ` and a value"),
    }
}

/// How to write a value of the type that is wanted.
pub(super) fn write_a(wanted: &str, schema: &Value) -> String {
    let example = schema.get("default").filter(|default| !default.is_object() && !default.is_array());
    match (wanted, example) {
        ("string", _) => "put the value in quotes".to_owned(),
        ("object", _) => "write its fields below it, indented, or {} for none".to_owned(),
        ("array", _) => "write its items below it, each after `- `, or [] for none".to_owned(),
        ("boolean", _) => "write true or false".to_owned(),
        ("number or string", _) => "write a quantity, for example 500m or 2Gi".to_owned(),
        (_, Some(example)) => format!("write a whole number, for example {example}"),
        _ => format!("write a whole number, {}", range(schema)),
    }
}

/// The bounds of a number in words.
pub(super) fn range(schema: &Value) -> String {
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("{least} or more"),
        (None, Some(most)) => format!("{most} or less"),
        (None, None) => "such as 1".to_owned(),
    }
}

/// A schema's type in words.
pub(super) fn kind(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a map of fields",
        "array" => "a list",
        "string" => "a string",
        "boolean" => "true or false",
        "number or string" => "a quantity",
        _ => "a whole number",
    }
}

/// What stands there instead, in words.
pub(super) fn found(content: &Content) -> String {
    match content {
        Content::Map(_) => "is a map".to_owned(),
        Content::List(_) => "is a list".to_owned(),
        Content::Scalar(Value::Null) => "is empty".to_owned(),
        Content::Scalar(Value::String(text)) => format!("is the string `{text}`"),
        Content::Scalar(value) => format!("is `{value}`"),
    }
}
